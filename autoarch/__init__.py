"""Architecture search: a spec with holes goes in, the best spec without holes and its trained model come out.

``space`` asks Optuna what goes into the holes; ``halving`` says who trains on; ``study`` keeps what is known, in a file
of SQLite that the coordinator alone writes (``search``); ``pool`` hands ``tasks`` to processes that train (``worker``) on data
that are ``prepared`` once; ``watching`` shows what happens; ``finish`` trains the winner once more by its spec, and opens the
test part; ``baselines`` are what it has to beat.
"""
