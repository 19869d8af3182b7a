"""Training: one generator of epochs that descends J(w, N) for K networks together.

Three steps in four descend the loss with N + W neurons awake, one in four with N: the two
ends of the window average in J. At the latter both losses are known on the same rows, and N
takes its own step. What a network publishes is the best moving average of its weights that
its held-out rows have seen, with its size; `_schedule` says when it is done.
"""

import time
from dataclasses import dataclass
from itertools import accumulate, repeat

import numpy as np
import torch

from ._continue import NetworkProgress, Progress
from ._history import Epoch
from ._network import gradient, value
from ._optimizer import adamw_step
from ._schedule import WARM_UP, Schedule
from ._size import next_size, size_loss, utility

CYCLE = 4  # steps; the first of each runs at N and measures the utility
SIZE_VELOCITY = 0.05  # largest change of log N per cycle
SIZE_MEMORY = 0.9  # of the moving average of the utility, per cycle
_SLAB_ROWS = 16384  # rows permuted at a time, so that X is never copied whole


@dataclass
class Rows:
    """Encoded rows: X (n, d) with ones, target (n, o), weight (K, n) or None for all 1."""

    X: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor | None = None

    def __len__(self):
        return self.X.shape[0]

    def dense(self):
        """Return the rows with X dense; a scipy matrix becomes a tensor."""
        if isinstance(self.X, torch.Tensor):
            return self
        return Rows(torch.as_tensor(self.X.toarray()).to(self.target), self.target, self.weight)

    def take(self, index):
        """Return a copy of the rows at the given positions."""
        # index_select is several times as fast as indexing
        chosen = torch.as_tensor(index, device=self.target.device)
        dense = isinstance(self.X, torch.Tensor)
        X = self.X.index_select(0, chosen) if dense else self.X[index]
        weight = None if self.weight is None else self.weight.index_select(1, chosen)
        return Rows(X, self.target.index_select(0, chosen), weight)

    def split(self, lengths):
        """Yield views of consecutive rows."""
        stops = list(accumulate(lengths))
        dense = isinstance(self.X, torch.Tensor)
        X = self.X.split(lengths) if dense else map(self.X.__getitem__, map(slice, [0, *stops], stops))
        weight = repeat(None) if self.weight is None else self.weight.split(lengths, dim=1)
        return map(Rows, X, self.target.split(lengths), weight)


@dataclass
class HeldOut:
    """Rows that judge some networks: which (positions at the start), and the rows."""

    members: np.ndarray
    rows: Rows


class Divergence(ValueError):
    """The loss is no longer finite."""


class Training:
    """The state of K networks in training; `epochs` advances it.

    Parameters
    ----------
    networks : GrowableNetworks
    loss : object
        A fitted loss.
    train : Rows
    held_out : list of HeldOut
        Each network in at most one; those in none train for a fixed length.
    normaliser : float
        What the loss is divided by: that of the best constant prediction.
    activation : str
    size_penalty : float or ndarray of shape (K,)
    target_size : float or None
    learning_rate, weight_decay : float
    batch_size : int
    max_iter : int
        Most epochs.
    tol : float
        Relative improvement of the held-out objective that counts.
    patience : int
        Fewest epochs without improvement.
    rng : numpy.random.RandomState
        Shuffles rows; not drawn from when a batch holds all of them.
    anneal : bool
        False keeps the learning rate constant to the end, so that training can go on.

    Attributes
    ----------
    members : ndarray
        Numbers of the networks still in training.
    results : dict of int to NetworkState
        Best state of every network, by number.
    """

    def __init__(
        self, networks, loss, train, held_out, *, normaliser, activation, size_penalty, target_size,
        learning_rate, weight_decay, batch_size, max_iter, tol, patience, rng, anneal=True,
    ):  # fmt: skip
        k = networks.n_networks
        self.networks, self.loss, self.train, self.held_out = networks, loss, train, held_out
        self.activation, self.target_size = activation, target_size
        self.size_penalty = np.broadcast_to(np.asarray(size_penalty, dtype=float), (k,)).copy()
        self.learning_rate, self.weight_decay, self.rng = learning_rate, weight_decay, rng
        self.n_batches = -(-len(train) // batch_size)
        watched = np.isin(np.arange(k), [m for part in held_out for m in part.members])
        self.schedule = Schedule(watched, self.n_batches, max_iter, patience, tol, anneal)
        self.members, self.results, self.left = np.arange(k), {}, {}
        self.step = self.epoch = 0
        self.utility, self.utility_weight = np.zeros(k), 0.0
        self.data_loss = np.full(k, np.nan)
        self.limited = False
        self.scale = 1.0 / normaliser
        self.uniform = {}  # row weights by number of rows, where all are equal
        self._aim()

    # ---------------------------------------------------------------- stop and go on
    def stop(self):
        """End here: let the networks still in training go."""
        self._leave(np.ones(len(self.members), dtype=bool))

    def states(self):
        """Return by number what every network would publish if it ended here."""
        judged = self.schedule.watched & np.isin(self.members, list(self.results))
        now = {self.members[i]: self.networks.state(i) for i in np.flatnonzero(~judged)}
        return {**self.results, **now}

    def progress(self):
        """Return what `resume` goes on from, once all networks have left; None if it cannot."""
        if self.schedule.anneal:
            return None
        networks = [self.left[member] for member in sorted(self.left)]
        rng_state = self.rng.get_state()
        return Progress(networks, self.step, self.utility_weight, 1.0 / self.scale, rng_state)

    def resume(self, states, progress, epoch):
        """Go on from published states, the first candidates, and from the progress behind them.

        Parameters
        ----------
        states : list of NetworkState
        progress : Progress or None
            None lets the optimiser start anew, from the published states.
        epoch : int
            Number of the last epoch.
        """
        self.epoch, self.step = epoch, progress.step if progress else 0
        for member, state in enumerate(states):
            self.networks.load(member, state)
        self.schedule.begin_at(self.step)
        self._judge(self._validate())
        if progress:
            for member, past in enumerate(progress.networks):
                self.networks.restore(member, past.size, past.end, past.buffers)
                self.utility[member], self.data_loss[member] = past.utility, past.data_loss
            self.utility_weight = progress.utility_weight
            self.rng.set_state(progress.rng_state)
        self.networks.follow_size()
        self._aim()

    # ---------------------------------------------------------------- the generator
    def epochs(self):
        """Yield, after every pass over the rows, the `Epoch` of each network in training.

        Yields
        ------
        dict of int to Epoch
            From the network's number to its record.

        Raises
        ------
        Divergence
            When a loss is not finite.
        """
        if not self.step:
            self._judge_linear()
        while len(self.members):
            # Dispatch costs a quarter less in this mode. It must end before anyone else runs.
            with torch.inference_mode():
                records = self._pass()
            yield records

    def _pass(self):
        """Go through the rows once and judge the networks; return their records."""
        tic = time.perf_counter()
        for rows in self._batches():
            self._descend(rows)
        self.epoch += 1
        validation = self._validate()
        self._check(validation[self.schedule.watched])
        records = self._records(validation, time.perf_counter() - tic)
        self._judge(validation)
        self._turn()
        return records

    # ---------------------------------------------------------------- one pass
    def _batches(self):
        """Yield batches of nearly equal size, permuted slab by slab."""
        n, train = len(self.train), self.train
        if self.n_batches == 1:
            yield train.dense()
            return
        order = self.rng.permutation(n)
        per_slab = max(1, _SLAB_ROWS * self.n_batches // n)
        edges = np.linspace(0, n, self.n_batches + 1).astype(int)
        for first in range(0, self.n_batches, per_slab):
            cuts = edges[first : first + per_slab + 1]
            slab = train.take(order[cuts[0] : cuts[-1]])
            for rows in slab.split(np.diff(cuts).tolist()):
                yield rows.dense()

    def _descend(self, rows):
        """Take one step in the weights and, once a cycle, one in N."""
        networks, target = self.networks, rows.target.t()
        weight = self._row_weight(rows)
        at_size = self.step % CYCLE == 0
        scouting = at_size and self.size_gates is not None
        if scouting:
            loss_at_end = value(
                networks.weights,
                rows.X,
                target,
                weight,
                self.end_gates,
                self.activation,
                self.loss,
            )
        raw = gradient(
            networks.weights, rows.X, target, weight,
            self.size_gates if at_size else self.end_gates,
            self.activation, self.loss, networks.gradient,
        )  # fmt: skip
        if at_size:
            self.data_loss = (self.loss.value(raw, target) * weight).sum(dim=1).cpu().numpy()
            self._observe(loss_at_end.cpu().numpy() if scouting else self.data_loss)
        self.step += 1
        adamw_step(networks, self.learning_rates(), self.weight_decay, self.step)
        if at_size and self.step > WARM_UP:
            self._resize()

    def _row_weight(self, rows):
        """Return row weights that carry the mean over rows and the normalisation."""
        n = len(rows)
        if rows.weight is not None:
            return rows.weight * (self.scale / n)
        if n not in self.uniform:
            self.uniform[n] = rows.X.new_full((1, 1), self.scale / n).expand(1, n)
        return self.uniform[n]

    def learning_rates(self):
        """Return the rate of every network, a list."""
        return [self.learning_rate * rate for rate in self.schedule.rate(self.step)]

    # ---------------------------------------------------------------- size
    def _observe(self, loss_at_end):
        """Let the measured utility into its moving average."""
        self._check(self.data_loss, loss_at_end)
        networks = self.networks
        seen = utility(self.data_loss, loss_at_end, networks.size, networks.end)
        self.utility = SIZE_MEMORY * self.utility + (1.0 - SIZE_MEMORY) * seen
        self.utility_weight = SIZE_MEMORY * self.utility_weight + (1.0 - SIZE_MEMORY)

    def _resize(self):
        """Move N down the gradient of J; it anneals with the weights."""
        networks = self.networks
        velocity = SIZE_VELOCITY * np.array(self.schedule.rate(self.step))
        networks.size = next_size(
            networks.size, self.utility / self.utility_weight, self.size_penalty,
            self.target_size, velocity, networks.max_size,
        )  # fmt: skip
        networks.follow_size()
        self._aim()

    def _aim(self):
        """Set the gates of the two ends of the window."""
        self.size_gates = self.networks.gates(self.networks.size)
        self.end_gates = self.networks.gates(self.networks.end)

    # ---------------------------------------------------------------- judging
    def _validate(self):
        """Return the held-out loss of every network at its rounded size, nan without one."""
        networks, losses = self.networks, np.full(len(self.members), np.nan)
        gates = networks.gates(np.rint(networks.size))
        for part in self.held_out:
            here = np.flatnonzero(np.isin(self.members, part.members))
            if not len(here):
                continue
            everyone = len(here) == len(self.members)
            average = networks.average if everyone else networks.average.of(here)
            rows = part.rows.dense()
            losses[here] = value(
                average, rows.X, rows.target.t(), self._row_weight(rows),
                gates if everyone or gates is None else gates[here], self.activation, self.loss,
            ).cpu()  # fmt: skip
        return losses

    def _check(self, *arrays):
        """Raise if losses, or weights to publish, are not finite."""
        if not all(np.isfinite(array).all() for array in arrays):
            raise Divergence(f"the loss is not finite after {self.step} steps")

    def _price(self):
        """Return the size loss of every network."""
        return size_loss(self.networks.size, self.size_penalty, self.target_size)

    def _judge_linear(self):
        """Let the network without neurons, the linear model, be the first candidate."""
        sizes = self.networks.size
        self.networks.size = np.zeros_like(sizes)
        self._judge(self._validate())
        self.networks.size = sizes

    def _judge(self, validation):
        """Keep the state of every network that is the best of its held-out objectives."""
        better = self.schedule.observe(self.step, validation + self._price())
        for position in np.flatnonzero(better):
            self.results[self.members[position]] = self.networks.state(position)

    def _turn(self):
        """Send networks back to their best to anneal; let finished ones go."""
        back = np.flatnonzero(self.schedule.turn(self.step))
        for position in back:
            self.networks.load(position, self.results[self.members[position]])
        done = self.schedule.finished(self.step)
        self.limited |= self.schedule.limited(self.step).any()
        if done.any():
            self._leave(done)
        if done.any() or len(back):
            self.networks.follow_size()
            self._aim()

    def _leave(self, done):
        """Let networks go: with their best state, or with the last where nothing judged them."""
        states = self.states()
        for position in np.flatnonzero(done):
            member = self.members[position]
            self._check(*states[member].arrays)
            self.results[member] = states[member]
            if not self.schedule.anneal:
                self.left[member] = NetworkProgress(
                    float(self.networks.size[position]), int(self.networks.end[position]),
                    float(self.utility[position]), float(self.data_loss[position]),
                    self.networks.snapshot(position),
                )  # fmt: skip
        self._keep(np.flatnonzero(~done))

    def _keep(self, positions):
        """Go on with the networks at the given positions only."""
        self.networks.keep(positions)
        self.schedule.keep(positions)
        for name in ("members", "size_penalty", "utility", "data_loss"):
            setattr(self, name, getattr(self, name)[positions])
        if self.train.weight is not None:
            self.train.weight = self.train.weight[torch.as_tensor(positions)]

    def _records(self, validation, seconds):
        """Return the record of every network for this epoch."""
        price, rates = self._price(), self.learning_rates()
        return {
            int(member): Epoch(
                epoch=self.epoch,
                loss=float(self.data_loss[i] + price[i]),
                data_loss=float(self.data_loss[i]),
                size_loss=float(price[i]),
                validation_loss=float(validation[i]),
                size=float(self.networks.size[i]),
                utility=float(self.utility[i] / self.utility_weight),
                learning_rate=float(rates[i]),
                seconds=seconds,
                member=int(member),
            )
            for i, member in enumerate(self.members)
        }
