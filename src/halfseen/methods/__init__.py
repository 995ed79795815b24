"""The reconstruction methods. Each is a folder with `algorithm.py` (read it beside its paper) and `config.py`; none knows another."""
