"""Side by side, in one run: what this product does, the limit of the hardware, and what people would use instead.

`python -m bench` runs all of it; every module measures one thing and returns plain figures.
"""
