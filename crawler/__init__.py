"""Seeds → WARC, with Scrapy: scope, robots.txt, politeness, limits, and a log of every URL's fate.

What it does not do yet: a frontier on disk shared by machines, re-crawls with If-None-Match, consent signals beyond
robots.txt, and a guard against requests into private networks: crawl only seeds that you trust.
"""
