"""Tomorrow's weather: an LSTM forecasts the next day's highest temperature from the last three weeks, against persistence.

Daily weather of Seattle, 2012 to 2015 (NOAA, public domain), from the package vega_datasets. Persistence says: tomorrow is
like today. Climate says: tomorrow is as that time of the year was in the years before.
"""

import numpy as np
from vega_datasets import data

import layerkit as keras
from layerkit import layers

PAST = 21


def main(epochs=30, units=32):
    """Train on three years, test on the fourth; mean absolute errors of model, persistence and climate in degrees C."""
    keras.utils.set_random_seed(0)
    weather = data.seattle_weather()
    highest = weather["temp_max"].to_numpy("float32")
    split = int((weather["date"].dt.year < 2015).sum())
    turn = 2 * np.pi * weather["date"].dt.day_of_year.to_numpy() / 365.25
    measured = [highest, weather["temp_min"], np.sqrt(weather["precipitation"]), weather["wind"]]
    series = np.stack([*measured, np.sin(turn), np.cos(turn)], axis=1).astype("float32")
    series = (series - series[:split].mean(0)) / series[:split].std(0)

    days = np.arange(PAST, len(series))  # the days to forecast
    x = np.stack([series[d - PAST : d] for d in days])
    y = (highest[days] - highest[days - 1])[:, None]  # what differs from today
    is_test = days >= split

    model = keras.Sequential(
        [
            keras.Input((PAST, series.shape[1])),
            layers.LSTM(units, dropout=0.2),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(2e-3), "mae")
    model.fit(x[~is_test], y[~is_test], batch_size=32, epochs=epochs, verbose=2)
    found = {
        "model": np.abs(model.predict(x[is_test]) - y[is_test]).mean(),
        "persistence": np.abs(y[is_test]).mean(),
    }
    season = np.stack([np.ones_like(turn), *(f(k * turn) for k in (1, 2) for f in (np.sin, np.cos))], axis=1)
    usual = season @ np.linalg.lstsq(season[:split], highest[:split], rcond=None)[0]
    found["climate"] = np.abs(usual - highest)[split:].mean()
    print("mean absolute error: " + ", ".join(f"{name} {error:.2f} C" for name, error in found.items()))
    return {name: float(error) for name, error in found.items()}


if __name__ == "__main__":
    main()
