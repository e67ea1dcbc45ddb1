"""`/admin`: which charger feeds which vehicle, what is known about devices and sites, and how this installation is set."""

from dashboard.pages.admin.page import layout, register

__all__ = ["layout", "register"]
