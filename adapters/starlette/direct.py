class DirectRoutes:
    any = False
    def __init__(self, app, executor, calls): ...
    def bind(self, gateway): return gateway.schedule
