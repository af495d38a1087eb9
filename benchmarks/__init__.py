"""What freelane is measured with: the published comparison, its contenders and apps.

Run it with ``python -m benchmarks``; ``freelane bench`` is what does the work.
"""
