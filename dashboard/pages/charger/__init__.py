"""`/chargers/<meterId>`: is it the charger?"""

from dashboard.pages.charger.page import layout, register

__all__ = ["layout", "register"]
