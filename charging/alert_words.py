"""The rules of the alerting as people read them."""

from collections.abc import Mapping
from typing import Any

from charging.alert_settings import Rule

NAMES: Mapping[Rule, str] = {
    "low_efficiency": "Low efficiency",
    "suspect_measurement": "Suspect measurement",
    "device_silent": "Device silent",
    "battery_hot": "Battery hot",
    "site_dark": "Site dark",
}
# What each setting is called, and what it does.
SETTING_WORDS: Mapping[str, tuple[str, str]] = {
    "enabled": ("Alerts", "Off: no alerts of this rule; open ones are closed."),
    "use": ("Low means", "Below the band that is expected of the vehicle, or below plain ratios."),
    "plainLow": ("Low below", "Also holds with the band, where no charging hours are known."),
    "plainCritical": ("Critical below", "Less than the one before."),
    "afterRhythms": ("After", "Intervals at which the device usually reports; with one a minute, 15 are 15 minutes."),
    "onlyWhileCharging": ("Only while charging", "A parked vehicle may be silent."),
    "limitC": ("Too hot from", "The temperature itself is too hot."),
    "share": ("More than", "Of the site's devices, silent within 5 minutes of each other."),
}


def in_words(rule: str, values: Mapping[str, Any]) -> str:
    """A sentence that says when the rule fires, with these values of its settings."""
    if not values["enabled"]:
        return "Switched off."
    return _SENTENCES[rule](values)


def _low(values: Mapping[str, Any]) -> str:
    plain = f"{_percent(values['plainLow'])}, critically below {_percent(values['plainCritical'])}"
    if values["use"] == "plain":
        return f"A vehicle's charging efficiency is below {plain}, for 15 minutes of charging."
    return (
        "A vehicle's charging efficiency is below the band expected of it, critically 10 points further down, for 15 minutes of charging. "
        f"Where no charging hours are known: below {plain}."
    )


def _suspect(_: Mapping[str, Any]) -> str:
    return "The vehicle or its meter measures what cannot be, like more energy in the battery than came from the grid, for 15 minutes of charging."


def _silent(values: Mapping[str, Any]) -> str:
    whom = "A vehicle that was charging, or its meter," if values["onlyWhileCharging"] else "A vehicle or a meter"
    return f"{whom} has sent nothing for {values['afterRhythms']:g} times as long as it usually takes it."


def _hot(values: Mapping[str, Any]) -> str:
    return f"A battery has {values['limitC']:g} °C or more, for a minute. Always critical."


def _dark(values: Mapping[str, Any]) -> str:
    return f"More than {_percent(values['share'])} of a site's devices fell silent within 5 minutes. Always critical; holds back the alerts of its devices."


_SENTENCES = {"low_efficiency": _low, "suspect_measurement": _suspect, "device_silent": _silent, "battery_hot": _hot, "site_dark": _dark}


def _percent(ratio: float) -> str:
    return f"{ratio * 100:g} %"
