class UnknownInvoiceError(Exception):
    """There is no such invoice, and no retry will make one."""
