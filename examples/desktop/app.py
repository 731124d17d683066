"""Show a desktop assistant's input line that recognises the user's intent while they type.

    python app.py PATH/TO/BUNDLE

Needs only ftool-runtime and Tk. answers.py keeps the model off the UI thread; this file is the window.
"""

import queue
import sys
import tkinter as tk
from pathlib import Path
from tkinter import messagebox, ttk

from answers import Answer, Answers

import ftool_runtime
from ftool_runtime import FtoolError, TextClassifier

POLL_MS = 15  # interval at which the window checks for an answer: less than one frame of a 60 Hz screen
UNSURE = 0.35  # scores below this are shown as "Not sure"


class AssistantWindow:
    """The window: an input line, the intent, and the best guesses with bars."""

    def __init__(self, root: tk.Tk, model: TextClassifier) -> None:
        self.root = root
        self._arrived: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._answers = Answers(model, self._arrived.put)
        self.text = tk.StringVar()
        self.intent = tk.StringVar(value="Type what you want")
        self.rows = [(tk.StringVar(), tk.DoubleVar()) for _ in range(3)]
        self._build()
        self.text.trace_add("write", self._typed)
        self._poll = root.after(POLL_MS, self._show_arrived)
        root.protocol("WM_DELETE_WINDOW", self.close)

    def close(self) -> None:
        """Stop the worker, then close the window."""
        self.root.after_cancel(self._poll)
        self._answers.close()
        self.root.destroy()

    def _build(self) -> None:
        self.root.title("Assistant")
        frame = ttk.Frame(self.root, padding=16)
        frame.grid(sticky="nsew")
        self.root.columnconfigure(0, weight=1)
        frame.columnconfigure(0, weight=1)
        self.entry = ttk.Entry(frame, textvariable=self.text, width=48, font=("TkDefaultFont", 14))
        self.entry.grid(columnspan=2, sticky="ew")
        self.entry.focus_set()
        ttk.Label(frame, textvariable=self.intent, font=("TkDefaultFont", 18)).grid(
            columnspan=2, sticky="w", pady=(12, 8)
        )
        for name, score in self.rows:
            ttk.Label(frame, textvariable=name, width=24).grid(column=0, sticky="w")
            bar = ttk.Progressbar(frame, variable=score, maximum=1.0, length=200)
            bar.grid(column=1, row=frame.grid_size()[1] - 1, sticky="e", pady=2)

    def _typed(self, *_: object) -> None:
        text = self.text.get().strip()
        if text:
            self._answers.ask(text)
        else:
            self._answers.cancel()
            self._clear("Type what you want")

    def _show_arrived(self) -> None:
        try:
            while True:
                self._show(self._arrived.get_nowait())
        except queue.Empty:
            self._poll = self.root.after(POLL_MS, self._show_arrived)

    def _show(self, answer: Answer) -> None:
        if answer.text != self.text.get().strip():
            return  # the text has changed meanwhile
        if answer.result is None:
            self._clear(f"{answer.error}")
            return
        best = answer.result
        self.intent.set(spoken(best.label) if best.score >= UNSURE else f"{spoken(best.label)}? Not sure")
        for (name, score), guess in zip(self.rows, best.top, strict=False):
            name.set(f"{spoken(guess.label)}  {guess.score:.0%}")
            score.set(guess.score)

    def _clear(self, message: str) -> None:
        self.intent.set(message)
        for name, score in self.rows:
            name.set("")
            score.set(0.0)


def spoken(label: str) -> str:
    """A label in readable form: set_timer becomes "Set timer"."""
    return label.replace("_", " ").capitalize()


def main(arguments: list[str]) -> int:
    """Open the window with the bundle given in the arguments. Returns the exit status."""
    if len(arguments) != 1:
        print("usage: python app.py PATH/TO/BUNDLE", file=sys.stderr)
        return 2
    try:
        model = ftool_runtime.TextClassifier.load(Path(arguments[0]))
    except FtoolError as error:
        print(f"Error: {error}", file=sys.stderr)
        if sys.platform == "win32":  # a windowed app on Windows has no console
            messagebox.showerror("Assistant", str(error))
        return 2
    with model:
        try:
            root = tk.Tk()
        except tk.TclError as error:
            print(f"Error: no window can be opened here: {error}", file=sys.stderr)
            return 2
        AssistantWindow(root, model)
        root.mainloop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
