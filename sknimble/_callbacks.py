"""scikit-learn's callbacks, from 1.9 on, and a stand-in for earlier versions."""

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:
        """Takes the place of scikit-learn's mixin: fitting has no callbacks."""

        def _init_callback_context(self, **task):
            """Return the task of fitting."""
            return NO_CALLBACKS


class NoCallbacks:
    """A task without callbacks, and all of its subtasks."""

    def subcontext(self, **task):
        """Return a subtask."""
        return self

    def call_on_fit_task_begin(self, **data):
        """Do nothing."""

    def call_on_fit_task_end(self, **data):
        """Return False: no callback asks to stop."""
        return False


# Tasks of epochs are created only if there are callbacks: most epochs last a millisecond.
NO_CALLBACKS = NoCallbacks()
