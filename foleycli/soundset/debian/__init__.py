"""The set of recorded sounds that the shipped weights were trained on, made again from its Debian packages.

`origins` lists the sounds, `mirrors` fetches a package, `archives` finds files in it, `build` makes the
set; the command is `python -m foleycli.lab sound_set`.
"""
