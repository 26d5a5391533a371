"""Published networks that metrics are named after: they embed a sound, or score a sound with its picture.

None ships with foley and none is a dependency: each reads the publisher's own weights file where there is one.
"""
