"""The report of a search: one HTML file that needs nothing else, neither a network nor a script.

``facts`` is all that is known of a run; ``page`` puts the sections together: ``answer`` (does it beat the baselines),
``winner``, ``trials``, ``importance``, ``repeat``. ``markup`` writes HTML in which every text is escaped; ``axes`` and ``charts`` draw SVG.
"""

from autoarch.report.page import report, write
