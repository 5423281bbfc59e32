"""Tomorrow's temperatures: an LSTM forecasts the next 24 hours from the last 72, against persistence.

Hourly temperatures of Seattle, 2010, from the package vega_datasets. Persistence says: tomorrow is like today.
"""

import numpy as np
from vega_datasets import data

import layerkit
from layerkit import layers

PAST, AHEAD = 72, 24


def main(epochs=15, units=48, stride=2):
    """Train on the first ten months; the mean absolute errors of model and persistence on the last two, in degrees F."""
    layerkit.utils.set_random_seed(0)
    temperature = data.seattle_temps()["temp"].to_numpy("float32")
    hour = np.arange(len(temperature))
    split = int(len(temperature) * 10 / 12)
    mean, deviation = temperature[:split].mean(), temperature[:split].std()
    scaled = (temperature - mean) / deviation
    clock = [f(2 * np.pi * hour / period) for period in (24, 8766) for f in (np.sin, np.cos)]
    series = np.stack([scaled, *clock], axis=1).astype("float32")

    def windows(first, last, step):
        starts = np.arange(first, last - PAST - AHEAD + 1, step)
        x = np.stack([series[s : s + PAST] for s in starts])
        y = np.stack([scaled[s + PAST : s + PAST + AHEAD] for s in starts])
        return x, y - x[:, -AHEAD:, 0]  # what differs from today

    x, y = windows(0, split, stride)
    x_test, y_test = windows(split, len(series), 6)
    size = y.std()  # tomorrow differs little from today: bring that to the size that networks like

    inputs = layers.Input((PAST, series.shape[1]))
    h = layers.LSTM(units)(inputs)
    model = layerkit.Model(inputs, layers.Dense(AHEAD)(h))
    model.compile({"Adam": {"learning_rate": 2e-3}}, "mae")
    model.fit(x, y / size, batch_size=64, epochs=epochs, verbose=2)
    ours = float(np.abs(model.predict(x_test) * size - y_test).mean() * deviation)
    persistence = float(np.abs(y_test).mean() * deviation)
    print(f"mean absolute error {ours:.3f} F, persistence {persistence:.3f} F")
    return ours, persistence


if __name__ == "__main__":
    main()
