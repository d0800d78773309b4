"""A person's hand on the arm: devices, all alike, and what becomes of what they want.

``device`` is the door every device comes through: it says what a person wishes and whether the
deadman is held. ``settings`` is what can be set; ``keynames``, ``keyboard``, ``pad``, ``gamepad``
and ``spacemouse`` are devices and what they are made of; ``page`` (with ``page.html``) is one in a
browser, and the live view of the others. ``drive`` turns a wish into an action, which passes the
guard like everybody's. ``make`` knows them by name.
"""
