import time, os
import harness as h, ctl as c
STATUS = os.path.join(os.path.dirname(h.SPAWND), "spawnd-status")
def test_cost(spawnd, place):
    pools = [spawnd("-s", f"{place}/{i}", "-u", "www", "--name", f"p{i:02}", "--status-group", "alpha", "-F", 50, "--", h.app("echo")) for i in range(20)]
    r = spawnd("-s", f"{place}/st", "-U", "www", "-u", "many", "-F", 1, "--name", "status", "--", STATUS)
    w = r.workers()[0]
    def get(path="/", q=""):
        t = time.monotonic()
        a = h.request(f"{place}/st", q, params={"SCRIPT_NAME": path})
        assert a.status == 200
        return time.monotonic() - t, len(a.body)
    for p, q in (("/", ""), ("/", ""), ("/p01/", ""), ("/", "json"), ("/", "openmetrics"), ("/p01/ping", ""), ("/p01/status","json&full")):
        t0, c0 = h.cpu(w), sum(h.cpu(x.pid) for x in pools)
        ts = []
        for _ in range(30):
            ts.append(get(p, q)[0]); time.sleep(1 if p == "/" and not q else .3)
        print(p, q, "ms", [round(1000 * x, 1) for x in sorted(ts)][::5], get(p,q)[1], "cpu responder ms/view", round(1000*(h.cpu(w)-t0)/31, 2), "all pools ms/view", round(1000*(sum(h.cpu(x.pid) for x in pools)-c0)/31,2))
