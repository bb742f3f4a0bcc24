"""Seeds → WARC, with Scrapy: scope, robots.txt, politeness, limits, and a log of every URL's fate.

What a crawl decides is in plain objects that know no Scrapy: `outcomes` (every fate of a URL), `scope` (which may be
fetched), `budget` (how many), `fetch_log` (what became of each) and `ledger`, which keeps the last two in step; `links`,
`robots` and `coding` read what servers send, whatever it is; `warc`, `stored` and `tries` are what a crawl leaves behind, and
what it goes on from after a kill. `spider`, `middleware`, `duplicates`, `chunks` and `worker` fit them to Scrapy;
`bridge` and `failures` hold what both sides speak of; `process` is who owns the crawling process.

What it does not do yet: a frontier on disk shared by machines, re-crawls with If-None-Match, consent signals beyond
robots.txt, and a guard against requests into private networks: crawl only seeds that you trust.
"""
