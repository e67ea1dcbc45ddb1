"""How to mend what was rejected, by the codes of the API."""

MEND = {
    "missing_field": "The device leaves out a field that must be there. Send it; null says that it was not measured.",
    "wrong_type": "A value has another type than the API takes, mostly a number sent as text. Send JSON numbers, and strings for id and timestamp.",
    "invalid_text": "The id has characters that no id may have. Use 1 to 64 letters, digits and . _ : - beginning with a letter or digit.",
    "out_of_range": "A number is outside of what can be true; energies are kWh since the previous reading, never a counter's total.",
    "timestamp_format": "Send RFC 3339 with an offset, like 2026-02-04T10:00:00Z.",
    "timestamp_out_of_range": "The device's clock is ahead or unset, or the day was dropped by a person. Set its clock by the network (NTP).",
    "conflict": "A reading of this device at this instant is stored with other values. Two devices share an id, or one sends a corrected value: the first one stays.",
    "not_json": "The body is not JSON: look for cut bodies, NaN, or a missing encoder.",
    "not_a_reading": "The body is neither a JSON object nor an array of them.",
    "not_a_batch": 'A batch is an object {"vehicles": [...], "meters": [...]}.',
    "invalid_readings": "The batch has not the shape of one: vehicles and meters are arrays.",
    "forbidden_device": "The key may not write this device: it is bound to others. See Admin, Keys.",
    "forbidden": "The key has not the right to write. See Admin, Keys.",
    "unauthorized": "No key, or one that is wrong, revoked or expired. The list of keys says which was refused last; make or rotate one there (Admin, Keys).",
    "too_many_wrong_keys": "More than ten wrong keys in a minute from one address: a device there has a wrong key, or somebody guesses. Right keys are let in all the same.",
    "too_fast": "More readings than the key may send. One that repeats itself without need, or a key that serves more devices than it is bound to. It comes again by itself.",
    "keys_unknown": "The keys could not be read from the database. Devices come again by themselves.",
    "too_large": "The body is larger than the server takes. Send fewer readings in a request, or gzip it.",
    "batch_too_large": "More readings in a request than the server takes. Send several smaller ones.",
    "unsupported_media_type": "Send Content-Type: application/json.",
    "unsupported_encoding": "Send the body plain or with gzip.",
    "broken_gzip": "The body says gzip and is not one whole gzip member.",
    "ambiguous_length": "Send Content-Length or Transfer-Encoding, not both: a proxy in between may add one.",
    "overloaded": "More came in than could be stored in time. Devices come again by themselves; if it lasts, see Operations: is the disk or the processor the limit?",
    "draining": "A web process was stopping, as at an update. Devices come again by themselves.",
    "commit_timeout": "The database took too long to store them. Devices come again by themselves; if it lasts, look at the database's disk.",
    "database_unavailable": "The database could not be reached. Devices come again by themselves.",
    "storage_full": "The database is out of space. See Operations, When the disk gets small.",
    "partition_missing": "The day of these readings has no table and none could be made: something holds the history locked. Devices come again by themselves; if it lasts, the log says what holds it.",
    "too_many_old_days": "Readings of more days of the past than may be opened in an hour: a device's clock is wrong, or old data should be imported instead.",
    "refused_by_database": "The database refused them, which should not happen: the log of the web process says why.",
    "internal": "A fault of this server: the log of the web process says why.",
}  # fmt: skip
UNKNOWN = "See the API's description of this code at /api."


def mend(code: str) -> str:
    """What to do about a code."""
    return MEND.get(code, UNKNOWN)
