"""What runs inside the sandbox. Knows the standard library only, and little of that: it is
imported anew for every program.
"""
