"""The configuration file: every setting of a site, a run, a node, a watched folder, the status page and the loop, in one TOML file.

A site profile is a configuration file that leaves the other tables out.
"""
