"""Training: one generator of epochs that descends J(w, N) for K networks together.

Steps descend the loss with N and with N + W neurons awake in turn: the trapezoid rule for the
window average in J. At every other step with N both losses are measured on the same rows, and
N takes its own step. After every epoch the moving averages of weights and of N are evaluated on
the held-out rows, and the best ones so far are kept, for a classifier with its sharpness.
`_schedule` says which are the best, and when a network is done.
"""

import math
import time
from contextlib import contextmanager, nullcontext
from copy import copy, deepcopy
from itertools import chain

import numpy as np
import torch

from ._batches import Batches, held_out_rows_of, side_by_side
from ._calibration import correction
from ._continue import NetworkProgress, Progress
from ._history import Epoch
from ._network import forward, gradient, value
from ._optimizer import AVERAGE_DECAY, LASTING_DECAY, adamw_step, average_decay
from ._schedule import WARM_UP, Schedule, relative_error
from ._size import BLOCK, next_size, normalised, size_loss, utility

CYCLE = 4  # steps: at N, N + W, N, N + W; the first measures the utility and moves N
SIZE_VELOCITY = 0.03  # largest change of log(N + SCOUTS) per cycle
SIZE_MEMORY = 0.9  # decay of the moving average of the utility, per cycle
IDLE_WEIGHTS = 4000  # fewer weights with a closed gate cost less to compute than to leave out
TOO_HIGH = 1e10  # a training whose loss, in that of the best constant, reaches this has diverged
WORK_OF_A_THREAD = 20_000_000  # multiplications per step that make one more thread worth while


class Divergence(ValueError):
    """The loss is no longer finite, or far too high."""


@contextmanager
def at_most_threads(n_threads):
    """Return a context in which torch uses at most so many threads."""
    before = torch.get_num_threads()
    if before > n_threads:
        torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        if before > n_threads:
            torch.set_num_threads(before)


class Training:
    """The state of K networks in training; `epochs` advances it.

    Parameters
    ----------
    networks : GrowableNetworks
    loss : object
        A fitted loss.
    train : Rows
        Training rows, with weights and targets for each group of networks with the same rows.
    groups : ndarray of int, shape (1, K) or (2, K)
        Which group of rows each network learns from and, in a second row, which when it finishes:
        one with its held-out rows too.
    held_out_rows : list of (ndarray of int, Rows)
        Positions of networks, each at most once, and their held-out rows. Networks without any
        train for a fixed length.
    normaliser : float or ndarray of shape (K,)
        The loss of the best constant prediction, by which losses are divided.
    activation : str
    size_penalty : float or ndarray of shape (K,)
    target_size : float or None
    learning_rate : float or ndarray of shape (K,)
    weight_decay : float
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
        False makes the learning rate fall slowly without end, so that training can go on later.

    Attributes
    ----------
    members : ndarray
        Numbers of the networks still in training. A *number* is fixed; a *position*, among these,
        changes when networks leave.
    results : dict of int to NetworkState
        State to keep of every network, by number: the best, or the latest within ``tol`` of it;
        after a finish, the last.
    before_finish : dict of int to NetworkState
        Best states, of networks that have begun to finish, which have not learned from held-out
        rows.
    departed : dict of int to NetworkProgress
        Where networks that have left stood, if training can go on later.
    """

    _PER_NETWORK = (
        "members", "size_penalty", "learning_rate", "biased_utility", "data_loss", "sharpness",
        "shift", "doubt",
    )  # fmt: skip

    def __init__(
        self, networks, loss, train, groups, held_out_rows, *, normaliser, activation,
        size_penalty, target_size, learning_rate, weight_decay, batch_size, max_iter, tol,
        patience, rng, anneal=True,
    ):  # fmt: skip
        k = networks.n_networks
        self.networks, self.loss = networks, loss
        self.activation, self.target_size = activation, target_size
        self.size_penalty = np.full(k, size_penalty, dtype=float)
        self.learning_rate = np.full(k, learning_rate, dtype=float)
        self.weight_decay, self.rng = weight_decay, rng
        self.longest_average = AVERAGE_DECAY if anneal else LASTING_DECAY
        self.normaliser = np.full(k, normaliser, dtype=float)
        self.all_batches = self.batches = Batches(train, groups, batch_size, 1.0 / self.normaliser)
        self.all_held_out_rows = self.held_out_rows = side_by_side(held_out_rows)
        watched = np.isin(np.arange(k), [m for members, _ in held_out_rows for m in members])
        self.schedule = Schedule(
            watched, self.batches.n_batches, max_iter, patience, tol, anneal,
            finishes=watched & (len(groups) > 1), learning_rate=self.learning_rate.max(),
        )  # fmt: skip
        self.members, self.results, self.before_finish, self.departed = np.arange(k), {}, {}, {}
        self.step = self.epoch = 0
        self.biased_utility = np.zeros(k)
        self.data_loss = np.full(k, np.nan)
        self.sharpness, self.shift = np.ones(k), np.zeros((k, networks.n_outputs))
        # Linear models' losses on each held-out row, by number, until something else is kept.
        self.linear_losses, self.doubt = {}, np.zeros(k)
        self.limited = False
        self._set_gates()

    @property
    def utility(self):
        """The moving average of the utility, corrected for its start at 0 (as in Adam)."""
        n_measured = -(-self.step // CYCLE)
        return self.biased_utility / (1.0 - SIZE_MEMORY**n_measured)

    # ---------------------------------------------------------------- stop and go on
    def stop(self):
        """End the training of all networks here."""
        self._leave(np.ones(len(self.members), dtype=bool))

    def states(self):
        """Return the state of every network, by number, as if training ended here."""
        kept = np.isin(self.members, list(self.results.keys() - self.before_finish.keys()))
        now = {self.members[i]: self.networks.state(i) for i in np.flatnonzero(~kept)}
        return {**self.results, **now}

    def progress(self):
        """Return the `Progress` to resume from, when all networks have left; None if annealed."""
        if self.schedule.anneal:
            return None
        networks = [self.departed[member] for member in sorted(self.departed)]
        return Progress(networks, self.step, self.rng.get_state())

    def resume(self, states, progress):
        """Continue an earlier training from its published states and its progress.

        The published states are the first candidates to be kept.

        Parameters
        ----------
        states : list of NetworkState
        progress : Progress or None
            None: the optimiser starts anew, from the published states.
        """
        self.step = progress.step if progress else 0
        for position, state in enumerate(states):
            self.networks.load(position, state)
        self.schedule.begin_at(self.step)
        with self._full_precision():
            self._keep_best(self._validate(calibrated=True))
        if progress:
            for position, one in enumerate(progress.networks):
                self.networks.restore(position, one)
                self.biased_utility[position] = one.utility
                self.data_loss[position] = one.data_loss
            self.rng.set_state(progress.rng_state)
        self.networks.follow_size()
        self._set_gates()

    # ---------------------------------------------------------------- the generator
    def epochs(self):
        """Yield, after every pass over the rows, the `Epoch` of each network still in training.

        Yields
        ------
        dict of int to Epoch
            From the network's number to its record.

        Raises
        ------
        Divergence
            When a loss is not finite or far too high.
        """
        if not self.step:
            with self._full_precision():
                self._add_linear_candidate()
        while len(self.members):
            # Inference mode saves a quarter of the dispatch time. It must end before the yield.
            threads = at_most_threads(self._n_threads())
            with torch.inference_mode(), threads, self._full_precision():
                records = self._pass()
            yield records

    def _full_precision(self):
        """Return a context in which operations keep the precision of their tensors."""
        device = str(self.networks.options["device"])
        if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
            return torch.autocast(device, enabled=False)
        return nullcontext()

    def _n_threads(self):
        """Return how many threads are worth while for the products of a forward pass."""
        networks, batches = self.networks, self.batches
        width = networks.n_inputs + (networks.depth - 1) * networks.capacity + networks.n_outputs
        n_rows = len(batches.rows) // batches.n_batches
        work = networks.n_networks * networks.capacity * width * n_rows
        return 1 + work // WORK_OF_A_THREAD

    def _pass(self):
        """Train on all rows once and evaluate on the held-out rows; return the records."""
        tic = time.perf_counter()
        steady = self.learning_rates(1) if self.schedule.is_steady(self.step + 1) else None
        for number, rows in enumerate(self.batches.epoch(self.rng)):
            self._descend(rows, steady or self.learning_rates(1), recorded=number < CYCLE)
        self.epoch += 1
        validation = self._validate()
        self._check_finite(self.data_loss, validation[self.schedule.watched])
        # later chunks may be far from the first, by whose loss theirs is divided
        if self.schedule.anneal and (self.data_loss > TOO_HIGH).any():
            self._diverge()
        records = self._records(validation, time.perf_counter() - tic)
        self._keep_best(validation)
        self._follow_schedule()
        return records

    # ---------------------------------------------------------------- one pass
    def _descend(self, rows, learning_rates, *, recorded):
        """Take one step in the weights and, once per cycle, one in N.

        ``recorded`` asks for the data loss, for the record of the epoch, even without scouts.
        """
        networks, measuring = self.networks, self.step % CYCLE == 0
        batch = rows.X, rows.target.mT, rows.weight
        weights, out, gates = networks.weights, networks.gradient, None
        if self.step % 2 == 0:
            weights, out, gates = self._at_size()
        raw = gradient(weights, *batch, gates, self.activation, self.loss, out)
        if measuring:
            self._measure(batch, raw, recorded)
        self.step += 1
        adamw_step(networks, learning_rates, self.weight_decay, self.step, self.longest_average)
        if measuring and self.step > WARM_UP:
            self._resize()

    def _at_size(self):
        """Return weights, gradient and gates at N; scouts are cut off if that saves enough."""
        networks, gates = self.networks, self.size_gates
        if gates is None:
            return networks.weights, networks.gradient, None
        n = BLOCK * math.ceil(max(networks.size.tolist()) / BLOCK)
        idle = networks.n_networks * (networks.capacity - n) * networks.capacity
        if not n or idle < IDLE_WEIGHTS:
            return networks.weights, networks.gradient, gates
        networks.flat["gradient"].zero_()
        return *networks.first_neurons(n), gates[..., :n]

    def learning_rates(self, ahead=0):
        """Return the learning rate of every network some steps ahead, a list."""
        shares = self.schedule.rate(self.step + ahead)
        rates = self.learning_rate.tolist()
        return [rate * share for rate, share in zip(rates, shares, strict=True)]

    # ---------------------------------------------------------------- size
    def _measure(self, batch, raw, recorded):
        """Measure the data loss from the raw output at N, and the utility.

        Without scouts the utility is 0, and the loss is computed for the record only.
        """
        scouting = self.size_gates is not None
        if scouting or recorded:
            _, target, weight = batch
            loss = (self.loss.value(raw, target) * weight).sum(dim=1)
            self.data_loss = normalised(loss.cpu().numpy())
        if scouting:
            at_end = value(self.networks.weights, *batch, None, self.activation, self.loss)
            self._add_utility(normalised(at_end.cpu().numpy()))
        else:
            self.biased_utility = SIZE_MEMORY * self.biased_utility

    def _add_utility(self, loss_at_end):
        """Add the measured utility to its moving average."""
        losses = self.data_loss.tolist(), loss_at_end.tolist()
        if not all(map(math.isfinite, chain(*losses))):
            self._diverge()
        seen = map(utility, *losses, self.networks.size.tolist(), self.networks.end.tolist())
        memory = zip(self.biased_utility.tolist(), seen, strict=True)
        self.biased_utility = np.array(
            [SIZE_MEMORY * u + (1.0 - SIZE_MEMORY) * new for u, new in memory]
        )

    def _resize(self):
        """Move N of the networks that explore down the gradient of J."""
        networks, settled = self.networks, self.schedule.settled.tolist()
        if all(settled):
            return
        # For a few networks, plain floats are faster than arrays.
        sizes, utilities = networks.size.tolist(), self.utility.tolist()
        members = zip(sizes, utilities, self.size_penalty.tolist(), settled, strict=True)
        networks.size = np.array([
            size if stays else next_size(size, u, price, self.target_size,
                                         SIZE_VELOCITY, networks.max_size)
            for size, u, price, stays in members
        ])  # fmt: skip
        decay = average_decay(self.step, self.longest_average) ** CYCLE
        networks.average_size += (1.0 - decay) * (networks.size - networks.average_size)
        networks.follow_size(settled)
        self._set_gates()

    def _set_gates(self):
        """Set the gates for steps at N, None if no network has scouts."""
        self.size_gates = self.networks.gates(self.networks.size)

    # ---------------------------------------------------------------- held-out rows
    def _validate(self, *, linear=False, calibrated=False):
        """Return the held-out loss of every network at its average N, rounded; nan without rows.

        Updates the sharpness and the shift at which this loss is measured, and `_compare` updates
        the doubt. With ``linear`` N is 0, and the losses of all rows are stored for `_compare`.
        With ``calibrated`` the networks are published ones, which need no correction.
        """
        losses = np.full(len(self.members), np.nan)
        gates = self.networks.gates(np.rint(self.networks.average_size))
        for here, rows in self.held_out_rows:
            weight = rows.averaging(self.batches.scale[here])
            blocks = self._outputs(here, rows, weight, gates)
            if self.loss.calibration and not calibrated:
                blocks = self._calibrate(here, weight, blocks)
            each = [self.loss.value(raw, target) * part for raw, target, part in blocks]
            losses[here] = sum(block.sum(dim=1).cpu() for block in each)
            if linear or self.linear_losses:
                self._compare(here, torch.cat(each, dim=1).cpu().numpy(), linear)
        return normalised(losses)

    def _outputs(self, here, rows, weight, gates):
        """Return blocks of some networks' rows: raw output of the averages, target and weight."""
        average = self.networks.average
        if len(here) < len(self.members):
            average, gates = average.of(here), None if gates is None else gates[here]
        return [
            (forward(average, part.X, gates, self.activation)[0], part.target.mT, weight[..., cut])
            for cut, part in rows.blocks()
        ]

    def _calibrate(self, here, weight, blocks):
        """Set the sharpness and the shift of some networks; return the blocks with these."""
        sharpness, shift = correction(self.loss, blocks, weight)
        self.sharpness[here] = sharpness.cpu().numpy()
        self.shift[here] = shift[..., 0].cpu().numpy()
        return [(sharpness[:, None, None] * raw + shift, *rest) for raw, *rest in blocks]

    def _compare(self, here, losses, linear):
        """Store the row losses of linear models, or the relative error of a gain on them."""
        for position, of_rows in zip(here, losses, strict=True):
            member = self.members[position]
            if linear:
                self.linear_losses[member] = of_rows
            elif member in self.linear_losses:
                self.doubt[position] = relative_error(self.linear_losses[member], of_rows)

    def _check_finite(self, *arrays):
        """Raise `Divergence` if losses, or weights to publish, are not finite."""
        if not all(np.isfinite(array).all() for array in arrays):
            self._diverge()

    def _diverge(self):
        """Raise because a loss is not finite or far too high."""
        raise Divergence(f"the loss is not finite or far too high after {self.step} steps")

    def _size_loss(self, sizes):
        """Return the size loss of every network."""
        return size_loss(sizes, self.size_penalty, self.target_size)

    def _add_linear_candidate(self):
        """Make the linear models, the networks without neurons, the first states to keep."""
        sizes = self.networks.average_size
        self.networks.average_size = np.zeros_like(sizes)
        self._keep_best(self._validate(linear=not self.results))
        self.networks.average_size = sizes

    def _keep_best(self, validation):
        """Store the states that the schedule says are the best so far, or within ``tol``."""
        sizes = self.networks.average_size
        if self.target_size is not None:
            sizes = np.rint(sizes)  # half a neuron off the target could cost more than any loss
        objective = validation + self._size_loss(sizes)
        kept = self.schedule.observe(self.step, objective, self.doubt)
        for position in np.flatnonzero(kept):
            if self.step:
                self.linear_losses.pop(self.members[position], None)
            self.results[self.members[position]] = self.networks.state(position)._replace(
                sharpness=float(self.sharpness[position]), shift=self.shift[position].copy()
            )

    def _follow_schedule(self):
        """Start the next phase of networks for which it is due; let go of those that are done.

        They go back to their best state, if the schedule says so, and N becomes whole.
        """
        networks, exploring = self.networks, self.schedule.exploring
        back = self.schedule.change_phase(self.step)
        for position in np.flatnonzero(back):
            networks.load(position, self.results[self.members[position]])
        members = self.members[back & self.schedule.finishing].tolist()
        if members:
            self.before_finish.update({member: self.results[member] for member in members})
            self._choose_rows()
        changed = back | (exploring & self.schedule.settled)
        networks.average_size[changed] = np.rint(networks.average_size[changed])
        networks.size[changed] = networks.average_size[changed]
        done = self.schedule.finished(self.step)
        self.limited = self.schedule.limited(self.step).any()
        if done.any():
            self._leave(done)
        if changed.any():
            self.networks.follow_size(self.schedule.settled)
            self._set_gates()

    def _leave(self, done):
        """End the training of some networks; without held-out rows their last state is kept."""
        states = self.states()
        for position in np.flatnonzero(done):
            member = self.members[position]
            self._check_finite(*states[member].arrays)
            self.linear_losses.pop(member, None)
            self.results[member] = states[member]
            if not self.schedule.anneal:
                self.departed[member] = NetworkProgress(
                    float(self.networks.size[position]),
                    float(self.networks.average_size[position]), int(self.networks.end[position]),
                    float(self.biased_utility[position]), float(self.data_loss[position]),
                    self.networks.snapshot(position),
                )  # fmt: skip
        self._keep(np.flatnonzero(~done))

    def _keep(self, positions):
        """Continue with the networks at the given positions only."""
        networks, schedule = copy(self.networks), copy(self.schedule)
        networks.keep(positions)
        schedule.keep(positions)
        kept = {name: getattr(self, name)[positions] for name in self._PER_NETWORK}
        # in one statement, so that Ctrl-C leaves a consistent state
        vars(self).update(networks=networks, schedule=schedule, **kept)
        self._choose_rows()
        self._set_gates()

    def _choose_rows(self):
        """Select the batches and the held-out rows of the networks, by their phase."""
        finishing = self.schedule.finishing
        self.batches = self.all_batches.of(self.members, finishing)
        self.held_out_rows = held_out_rows_of(self.all_held_out_rows, self.members, finishing)

    def part(self, positions):
        """Return a `Training` that goes on with the networks at some positions; shares results."""
        part = copy(self)
        part.rng = deepcopy(self.rng)
        part._keep(positions)
        return part

    def joined(self, others):
        """Return one `Training` of these networks and those of other parts, at the same step."""
        joined, parts = copy(self), [self, *others]
        joined.networks = self.networks.joined([part.networks for part in others])
        joined.schedule = self.schedule.joined([part.schedule for part in others])
        for name in self._PER_NETWORK:
            setattr(joined, name, np.concatenate([getattr(part, name) for part in parts]))
        joined._keep(np.argsort(joined.members))
        return joined

    def _records(self, validation, seconds):
        """Return the record of every network for this epoch."""
        size_losses, rates = self._size_loss(self.networks.size), self.learning_rates()
        utilities = self.utility
        return {
            int(member): Epoch(
                epoch=self.epoch,
                loss=float(self.data_loss[i] + size_losses[i]),
                data_loss=float(self.data_loss[i]),
                size_loss=float(size_losses[i]),
                validation_loss=float(validation[i]),
                size=float(self.networks.size[i]),
                utility=float(utilities[i]),
                learning_rate=rates[i],
                seconds=seconds,
                member=int(member),
            )
            for i, member in enumerate(self.members)
        }
