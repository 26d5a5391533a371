"""Recorded sounds: kinds of sound, folders of recordings, which are held out, and the sets that foley is made of."""
