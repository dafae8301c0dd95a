# Writes testdata/places.csv: what PyPI's reverse_geocoder 1.5.1 answers for
# random points, half of them within a degree of a place.
#   pip install reverse_geocoder==1.5.1 && python testdata/expect/places.py > testdata/places.csv
import csv
import math
import random
import sys

import reverse_geocoder

rng = random.Random(20150411)
coder = reverse_geocoder.RGeocoder(mode=1, verbose=False)
points = []
for i in range(500):
    if i % 2:
        place = rng.choice(coder.locations)
        lat = max(-90, min(90, float(place['lat']) + rng.uniform(-1, 1)))
        lng = (float(place['lon']) + rng.uniform(-1, 1) + 180) % 360 - 180
    else:
        lat, lng = math.degrees(math.asin(rng.uniform(-1, 1))), rng.uniform(-180, 180)
    points.append((round(lat, 5), round(lng, 5)))
writer = csv.writer(sys.stdout, lineterminator='\n')
writer.writerow(['lat', 'lng', 'cc', 'admin1', 'name', 'place_lat', 'place_lng'])
for point, found in zip(points, coder.query(points)):
    writer.writerow([*point, found['cc'], found['admin1'], found['name'], found['lat'], found['lon']])
