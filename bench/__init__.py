"""Every engine on the same data in one run: recall, speed, bytes, side by side.

``python -m bench --help`` shows the commands; ``bench/README.md`` says what the figures mean.
"""
