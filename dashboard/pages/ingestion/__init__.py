"""`/ingestion`: are devices reporting?"""

from dashboard.pages.ingestion.page import layout, register

__all__ = ["layout", "register"]
