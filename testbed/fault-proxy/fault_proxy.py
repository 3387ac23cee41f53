"""A TCP proxy on loopback that does to connections what networks do: delays, cuts, half-closes, falls silent, refuses.

For tests, in their process:

    proxy = FaultProxy(target_port)          # listens at proxy.port; carries bytes both ways
    proxy.delay_s = 0.2                      # each piece waits so long, in both directions
    proxy.cut()                              # resets all open connections; new ones are carried
    proxy.half_close()                       # tells the target side that the client side has ended, and the other way round
    proxy.silent = True                      # carries nothing while connections stay open
    proxy.refusing = True                    # new connections are reset at once
    proxy.cut_after_bytes = 100_000          # the next connection is reset after so many bytes to the target, once
    proxy.stop()

At most CONNECTIONS_MAX are open at once.
"""

import asyncio
import contextlib
import socket
import struct
import threading

CONNECTIONS_MAX = 200
PIECE_BYTES = 64 * 1024
SILENT_LOOK_S = 0.02


class FaultProxy:
    def __init__(self, target_port, port=0, host="127.0.0.1"):
        self.target_port, self.host = target_port, host
        self.delay_s, self.silent, self.refusing, self.cut_after_bytes = 0.0, False, False, None
        self.accepted = 0
        self.links = set()
        self.loop = asyncio.new_event_loop()
        self.socket = socket.create_server((host, port))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    # --- what tests call ---

    def cut(self):
        """Resets what is open. Returns how many connections that were."""
        return self.on_loop(self.cut_all)

    def half_close(self):
        return self.on_loop(self.half_close_all)

    def stop(self):
        self.on_loop(self.cut_all)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.socket.close()

    # --- on its loop ---

    def on_loop(self, call):
        async def run():
            return call()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(5)

    def run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(asyncio.start_server(self.carry, sock=self.socket))
        self.loop.run_forever()

    def cut_all(self):
        links = list(self.links)
        for writers in links:
            self.reset(*writers)
        return len(links)

    def half_close_all(self):
        links = list(self.links)
        for writers in links:
            for writer in writers:
                with contextlib.suppress(OSError, RuntimeError):
                    writer.write_eof()
        return len(links)

    @staticmethod
    def reset(*writers):
        for writer in writers:
            if connection := writer.get_extra_info("socket"):
                with contextlib.suppress(OSError):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def carry(self, client_reader, client_writer):
        self.accepted += 1
        if self.refusing or len(self.links) >= CONNECTIONS_MAX:
            return self.reset(client_writer)
        try:
            target_reader, target_writer = await asyncio.open_connection(self.host, self.target_port)
        except OSError:
            return self.reset(client_writer)
        link = (client_writer, target_writer)
        self.links.add(link)
        limit, self.cut_after_bytes = self.cut_after_bytes, None
        try:
            await asyncio.gather(self.pump(client_reader, target_writer, limit), self.pump(target_reader, client_writer, None))
        except (OSError, RuntimeError):  # cut, or half-closed under what is being carried
            pass
        finally:
            self.links.discard(link)
            self.reset(*link)

    async def pump(self, reader, writer, limit):
        while piece := await reader.read(PIECE_BYTES):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            while self.silent:
                await asyncio.sleep(SILENT_LOOK_S)
            if limit is not None:
                piece = piece[:limit]
                limit -= len(piece)
            writer.write(piece)
            await writer.drain()
            if limit == 0:
                raise ConnectionError("the bytes that were allowed are over")
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()
