"""scikit-learn's callbacks where it has them, from 1.9 on, and a stand-in where it has not."""

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:
        """Takes the place of scikit-learn's: fitting is a task that nobody watches."""

        def _init_callback_context(self, **task):
            """Return the task of fitting."""
            return NOBODY


class Unwatched:
    """A task without callbacks, and all of its subtasks."""

    def subcontext(self, **task):
        """Return a subtask."""
        return self

    def call_on_fit_task_begin(self, **data):
        """Do nothing."""

    def call_on_fit_task_end(self, **data):
        """Return False: nobody asks to stop."""
        return False


# The tasks of an epoch are made only for those who watch: most epochs last a millisecond.
NOBODY = Unwatched()
