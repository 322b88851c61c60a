"""Fakes of SmartScan (JSON over ZeroMQ, as smartremote 0.1 sends it) and of Nanosurf Studio 2.0.7's tree.

Each stands over one sample, has a tip that takes `slow` seconds to move, and saves its images.
"""

import json
import re
import sys
import threading
import time
import types

import makers_rig
import numpy as np
import zmq

from grainscout.analysis.formats import write_gwy
from grainscout.records import Scan

SIZE = (3e-6, 2e-6)  # width and height of the frame that makers_rig.park writes [m]


class Instrument:
    """Faults: "stuck" (it does not move), "no file", "in the air", "holds on"."""

    def __init__(self, folder):
        self.folder, self.faults, self.log = folder, set(), []
        self.place, self.centre, self.angle = (0.0, 0.0), (4e-6, -5e-6), 0.0
        self.slow, self.path = 0.0, (0.0, 0.0, 1.0)  # from, since, to: 0 is up, 1 touches
        self.bias, self.images, self.dragged, self.silent = 0.5, 0, 0, False

    def height(self):
        """0 up, 1 in contact."""
        start, since, end = self.path
        done = 1.0 if not self.slow else min(1.0, (time.monotonic() - since) / self.slow)
        return start + (end - start) * done

    def fly(self, down):
        if "holds on" not in self.faults:
            self.path = (self.height(), time.monotonic(), float(down))

    def go(self, x, y):
        self.dragged += self.height() > 0
        if "stuck" not in self.faults:
            self.place = (x, y)

    def image(self):
        self.images += self.height() == 1
        if "no file" not in self.faults:
            self.save()


class SmartScan(Instrument):
    """SmartScan: answers scripts; Z runs from 7.5 um (retracted) over 2 um (surface) to -7.5 um."""

    def __init__(self, folder):
        super().__init__(folder)
        self.servo, self.tip = False, 0.0
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.REP)
        self.address = f"tcp://127.0.0.1:{self.socket.bind_to_random_port('tcp://127.0.0.1')}"
        self.open = True
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def close(self):
        self.open = False
        self.thread.join()
        self.socket.close(0)
        self.context.term()

    def serve(self):
        while self.open:
            if self.socket.poll(20):
                asked = json.loads(self.socket.recv())
                while self.silent and self.open:
                    time.sleep(0.02)
                self.socket.send_json(self.answer(asked["method"], asked["params"]))

    def answer(self, method, params):
        if method == "js_run":
            return {"result": "false"}
        if method == "geometry_query":
            size = [v * 1e6 for v in (*SIZE, *self.centre)]
            return {"result": ",".join(map(str, [2, 3, *size, self.angle]))}
        assert method == "js_cmd"
        for line in params.split(";"):
            value = self.run(line.strip())
        return {"result": "ok", "value": value}

    def run(self, line):
        self.log.append(line)
        if found := re.fullmatch(r"spm\.zservo\.enable = (\w+)", line):
            self.servo = found[1] == "true"
            self.fly(self.servo)
        elif line == "spm.zscanner.retractAll()":
            self.fly(False)
        elif found := re.fullmatch(r"spm\.xyscanner\.moveTo\((.*), (.*)\)", line):
            self.go(float(found[1]) * 1e-6, float(found[2]) * 1e-6)
        elif line == "spm.scan.triggerImageScan()":
            self.image()
        elif found := re.fullmatch(r"spm\.bias\.(tip|sample) = 0", line):
            self.bias = 0.0
        elif line != "spm.scan.stop()":
            return ",".join(str(self.value(name)) for name in line.split(" + ',' + "))
        return "done"

    def value(self, name):
        depth = 15.0 if "in the air" in self.faults else 5.5
        return {
            "'done'": "done",
            "spm.zscanner.pos": 7.5 - depth * self.height(),
            "spm.zscanner.fullyRetractedPos": 7.5,
            "spm.zscanner.fullyExtendedPos": -7.5,
            "spm.zservo.enable": str(self.servo).lower(),
            "spm.xyscanner.pos.x": self.place[0] * 1e6,
            "spm.xyscanner.pos.y": self.place[1] * 1e6,
        }[name]

    def save(self):
        makers_rig.park(self.folder / f"image{self.images}.tiff")

    def install(self, patch):
        """Put in smartremote's class, written from its source, where the package is missing."""

        class SmartRemote:
            address, socket = "tcp://localhost:5581", None

            def __init__(self):
                self.connect_socket()

            def connect_socket(self):
                self.context = zmq.Context()
                self.socket = self.context.socket(zmq.REQ)
                self.socket.connect(self.address)

            def request(self, method, params="None"):
                self.socket.send_json(
                    {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
                )
                return self.socket.recv_json()

            def check_status(self):
                return self.request("js_run")["result"]

            def send_script(self, script):
                return self.request("js_cmd", script)

            def query_geometry(self):
                height, width, *rest = self.request("geometry_query")["result"].split(",")
                names = ("width", "height", "offsetX", "offsetY", "rotation")
                pixels = {"pixelHeight": int(height), "pixelWidth": int(width)}
                return pixels | dict(zip(names, map(float, rest), strict=True))

        try:
            import SmartRemote as _  # noqa: F401 - the real one is used
        except ImportError:
            module = types.ModuleType("SmartRemote")
            module.SmartRemote = SmartRemote
            patch.setitem(sys.modules, "SmartRemote", module)

    def options(self):
        return {"address": self.address}


class Studio(Instrument):
    """Nanosurf Studio: the nodes of cmd_tree_spm that a mover uses."""

    def install(self, patch):
        fake = self

        class StudioScriptError(Exception):
            pass

        class Scanner:
            offset_x = property(lambda _: fake.place[0])
            offset_y = property(lambda _: fake.place[1])

            def move_to_target_offsets(self):
                fake.go(self.offset_x_target, self.offset_y_target)

        class Control:
            setpoint = 0.3

            @property
            def actual_feedback_value(self):
                return 0.02 if "in the air" in fake.faults else 0.02 + 0.28 * fake.height()

        class Imaging:
            frame_center_offset_x, frame_center_offset_y = fake.centre
            scan_range_fast_axis, scan_range_slow_axis = SIZE
            rotation = property(lambda _: fake.angle)

            def start(self):
                fake.image()

            def stop(self):
                fake.log.append("stop")

        class Application:
            def select_measurement_session(self, session="", level=1):
                if fake.silent:
                    raise StudioScriptError("No session could be automatically assigned")
                imaging = Imaging()
                nodes = {"imaging": imaging, "z_control": Control()}
                nodes["approach"] = types.SimpleNamespace(
                    approach=lambda: fake.fly(True), withdraw=lambda: fake.fly(False)
                )
                nodes["data"] = types.SimpleNamespace(storage=types.SimpleNamespace())
                nodes |= {"scanner": Scanner()} if level > 1 else {}
                return types.SimpleNamespace(workflow=types.SimpleNamespace(**nodes))

        module = types.ModuleType("nanosurf.studio")
        module.Studio, module.StudioScriptError = Application, StudioScriptError
        patch.setitem(sys.modules, "nanosurf", types.ModuleType("nanosurf"))
        patch.setitem(sys.modules, "nanosurf.studio", module)

    def save(self):
        heights = makers_rig.RAW * 1e-10
        rows, columns = heights.shape
        step = (SIZE[1] / rows, SIZE[0] / columns)
        image = Scan(
            channels={"height": np.asarray(heights, float)}, units={"height": "m"}, pixel_size=step
        )
        write_gwy(image, self.folder / f"image{self.images}.gwy")

    def close(self):
        pass

    def options(self):
        return {}
