"""Many clients at once, and a load that goes on while something else happens."""
import threading
import time

from check import check
from proxy import answer


def all_at_once(proxy, names, patience=30):
    """Connects a client for each name, then reads what each is told."""
    began = time.monotonic()
    clients = [proxy.connect(name) for name in names]
    told = [None] * len(clients)

    def read(at):
        with clients[at] as client:
            told[at] = answer(client, began, patience)

    threads = [threading.Thread(target=read, args=(at,), daemon=True) for at in range(len(clients))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


class Load:
    """While it runs: some 30 requests a second, each for a name that nobody has asked for, from three clients."""

    def __init__(self, proxy, suffix="load.test"):
        self.proxy, self.suffix, self.told, self.ending = proxy, suffix, [], False
        self.threads = [threading.Thread(target=self._ask, args=(n,), daemon=True) for n in range(3)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def _ask(self, client):
        number = 0
        while not self.ending:
            number += 1
            self.told.append(self.proxy.ask(f"c{client}n{number}.{self.suffix}", patience=10))
            time.sleep(0.1)

    def __exit__(self, kind, *_):
        self.ending = True
        for thread in self.threads:
            thread.join()
        if kind is None:
            check(self.proxy.alive(), f"the proxy is not well: {self.proxy.says()}")
            check(all(told.status for told in self.told), "a client of the load got no answer within 10 s")
