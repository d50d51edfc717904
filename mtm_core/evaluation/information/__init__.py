"""What each region adds to the prediction of each other region.

map.py        the definitions, and the map of all regions in small steps
context.py    what each region loses if any neurons or regions are hidden as well
questions.py  what is hidden and scored, and the difference between two answers
null.py       sources that know nothing of the trial at hand; p and q
table.py      tables and files
"""
