/** Who listens on a TCP port of this machine. */
import { readdir, readFile, readlink } from 'node:fs/promises'
import { createServer } from 'node:net'

/** Whether nothing listens on the port, on any address. */
export async function isFree(port: number): Promise<boolean> {
  const answer = await tryToListen(port, '::')
  return answer === 'no such address' ? (await tryToListen(port, '0.0.0.0')) === 'free' : answer === 'free'
}

function tryToListen(port: number, host: string): Promise<'free' | 'taken' | 'no such address'> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', ({ code }: NodeJS.ErrnoException) =>
      resolve(code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL' ? 'no such address' : 'taken'),
    )
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve('free')))
  })
}

const listening = '0A'

/** Name and pid of the program that listens on the port, for a message; null if it cannot be determined. */
export async function listenerOn(port: number): Promise<string | null> {
  const tables = await Promise.all(['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')))
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  const sockets = tables
    .flatMap((table) => table.split('\n').slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => local?.endsWith(`:${hex}`) && state === listening)
    .map((columns) => `socket:[${columns[9]}]`)
  if (sockets.length === 0) return null
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const folder = `/proc/${pid}/fd`
    for (const fd of await readdir(folder).catch(() => [])) {
      if (!sockets.includes(await readlink(`${folder}/${fd}`).catch(() => ''))) continue
      const name = (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim()
      return `${name} (pid ${pid})`
    }
  }
  return null
}
