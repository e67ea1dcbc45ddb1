"""Classes of chargers: a vehicle's losses at a household socket say nothing about those at a wallbox, so each class is learned apart."""

# (up to this many kW from the grid, name). Between the usual sockets and wallboxes: 2.3, 3.7, 7.4, 11 and 22 kW; beyond it is a DC charger.
CLASSES = ((3.0, "2.3 kW"), (5.5, "3.7 kW"), (9.2, "7.4 kW"), (16.0, "11 kW"), (25.0, "22 kW"))
DC_CLASS = "DC"


def charger_class(power_kw: float) -> str:
    """The class of a charger by its rated power, or by the most it was seen to give, in kW."""
    return next((name for most_kw, name in CLASSES if power_kw <= most_kw), DC_CLASS)
