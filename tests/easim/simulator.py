"""The whole of the stand-in: services, their instances, discovery, and the operations on them.

Each operation is a coroutine that takes and returns what JSON can carry; the control API finds it
in OPERATIONS by its name.
"""

from tests.easim.address import Network
from tests.easim.discovery import Discovery, list_json
from tests.easim.instance import Instance

DISCOVERY_HOST = 1
CONTROL_HOST = 2
INSTANCES_MAX = 250  # host numbers of a /24 less those with a use of their own


class Service:
    def __init__(self, name, same_port):
        self.name = name
        self.same_port = same_port  # all instances listen on the port of the first
        self.network = Network()
        self.instances = []
        self.items = None  # raw items instead of the instances, when a test wants to lie

    def body(self):
        items = self.items
        if items is None:
            items = [instance.item() for instance in self.instances if instance.listed]
        return list_json(self.name, items)

    async def add(self, weight):
        if len(self.instances) == INSTANCES_MAX:
            raise ValueError(f"{self.name} has {INSTANCES_MAX} instances already")
        address = self.network.address(len(self.instances) + 1)
        port = self.instances[0].port if self.same_port and self.instances else 0
        instance = Instance(self.name, address, weight, port)
        await instance.set_mode("open")
        self.instances.append(instance)

    async def close(self):
        for instance in self.instances:
            await instance.close()
        self.network.close()


class Simulator:
    def __init__(self):
        self._network = Network()
        self.services = {}
        self.discovery = Discovery(self._network.address(DISCOVERY_HOST), self.services)
        self.control_address = self._network.address(CONTROL_HOST)

    async def start(self):
        await self.discovery.start()

    async def close(self):
        await self.discovery.close()
        for service in self.services.values():
            await service.close()
        self._network.close()

    def _service(self, name):
        if name not in self.services:
            raise ValueError(f"no service {name!r}")
        return self.services[name]

    def _instance(self, service, index):
        instances = self._service(service).instances
        if not 0 <= index < len(instances):
            raise ValueError(f"{service} has instances 0 to {len(instances) - 1}, not {index}")
        return instances[index]

    async def add_service(self, service, weights, same_port=False):
        if service in self.services:
            raise ValueError(f"service {service!r} is there already")
        added = Service(service, same_port)
        for weight in weights:
            await added.add(weight)
        self.services[service] = added

    async def remove_service(self, service):
        """Discovery forgets it (404) and its instances end."""
        await self._service(service).close()
        del self.services[service]

    async def add_instance(self, service, weight):
        await self._service(service).add(weight)

    async def set_listed(self, service, index, listed):
        self._instance(service, index).listed = listed

    async def set_weight(self, service, index, weight):
        self._instance(service, index).weight = weight

    async def set_mode(self, service, index, mode):
        await self._instance(service, index).set_mode(mode)

    async def retire(self, service, index):
        await self._instance(service, index).retire()

    async def set_delay(self, service, index, seconds):
        self._instance(service, index).delay_s = seconds

    async def set_items(self, service, items):
        self._service(service).items = items

    async def set_fault(self, kind, service=None, options=None):
        await self.discovery.set_fault(kind, service, **(options or {}))

    async def set_path(self, path, on):
        if path not in self.discovery.paths:
            raise ValueError(f"path {path!r}: one of {', '.join(self.discovery.paths)}")
        self.discovery.paths[path] = on

    async def state(self):
        services = self.services.items()
        return {
            "endpoint": self.discovery.endpoint,
            "services": {n: [i.describe() for i in s.instances] for n, s in services},
        }

    async def polls(self):
        return {
            "counts": {service: dict(paths) for service, paths in self.discovery.counts.items()},
            "recent": list(self.discovery.polls),
        }


OPERATIONS = (
    "add_service",
    "remove_service",
    "add_instance",
    "set_listed",
    "set_weight",
    "set_mode",
    "retire",
    "set_delay",
    "set_items",
    "set_fault",
    "set_path",
    "state",
    "polls",
)
