"""Settles what became of a URL: its fate goes to the log, its place in the budget is taken or given back."""

from __future__ import annotations

from crawler.budget import Budget
from crawler.fetch_log import FetchLog
from crawler.outcomes import Answer, Outcome, Visit, fate_of_answer, fate_without_page


class Ledger:
    """The log and the budget of a crawl, kept in step."""

    def __init__(self, log: FetchLog, budget: Budget) -> None:
        self.log, self.budget = log, budget

    def answered(self, visit: Visit, answer: Answer) -> None:
        """An answer that is in the WARC. Redirects and errors give their place in the limits back.

        The redirect that closes a loop makes a loop of all before it.
        """
        fate = fate_of_answer(visit, answer)
        if fate.outcome == "redirect_loop":
            for url in visit.chain:
                self.log.amend(url, "redirect_loop")
        if fate.outcome == "fetched":
            self.budget.take(visit.url)
        else:
            self.budget.give_back(visit.url)
        self.log.add(fate)

    def unanswered(self, visit: Visit, outcome: Outcome, note: str = "", *, status: int | None = None) -> None:
        """A request that was refused, or brought no whole response after all retries."""
        self.budget.give_back(visit.url)
        if outcome == "page_limit" and visit.url in self.log:
            return  # it was to be tried again: the answer that it had stays its fate
        self.log.add(fate_without_page(visit, outcome, note, status=status))

    def endless(self, visit: Visit) -> None:
        """A chain of redirects that was given up; its first URL bears that."""
        self.budget.give_back(visit.url)
        first = (*visit.chain, visit.url)[0]
        self.log.amend(first, "redirect_loop", f"gave up after {len(visit.chain)}")

    def unasked(self, visit: Visit, outcome: Outcome, note: str = "") -> None:
        """A link that is not followed; whatever is known of its URL already stays."""
        if visit.url not in self.log:
            self.log.add(fate_without_page(visit, outcome, note))

    def unread(self, visit: Visit, why: str) -> None:
        """A page whose links could not be read: it is in the WARC, and stays what it is."""
        if visit.url in self.log:
            self.log.amend(visit.url, "fetched", f"its links could not be read: {why}")
