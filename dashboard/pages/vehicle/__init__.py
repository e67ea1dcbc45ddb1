"""`/vehicles/<id>`: what is wrong with this vehicle, or is it the charger?"""

from dashboard.pages.vehicle.page import layout, register

__all__ = ["layout", "register"]
