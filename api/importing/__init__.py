"""Backfill from files: the readings of CSV and Parquet files take the way that posted ones take, many at a time."""
