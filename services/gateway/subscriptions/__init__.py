"""Subscriptions that never lose an event: R4 rest-hooks and topics of the R5 Backport.

A write numbers its events in its own transaction (`numbering`), a worker delivers them until
they are taken (`delivery`); `admission` takes a Subscription in, `operations` answers for it.
"""
