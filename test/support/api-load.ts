/** Sends requests to a server's API one at a time, on kept and on new connections, until its port is closed. */
import { Agent, type IncomingMessage, request } from 'node:http'

export type ApiLoad = { answered: number; refused: number; failures: string[] }

export type ApiLoadOptions = { url: string; key: string; kept?: number; fresh?: number; pauseMs?: number }

/** Failures other than a refused connection. `ended` resolves when every loop was refused. */
export function loadApi({ url, key, kept = 4, fresh = 4, pauseMs = 0 }: ApiLoadOptions): { load: ApiLoad; ended: Promise<ApiLoad> } {
  const load: ApiLoad = { answered: 0, refused: 0, failures: [] }
  const body = JSON.stringify({ query: '{ organization { id } }' })
  const loop = async (agent: Agent, kind: string) => {
    for (;;) {
      try {
        const status = await post(url, key, body, agent)
        if (status === 200) load.answered++
        else load.failures.push(`status ${status}`)
      } catch (error) {
        const { code, syscall } = error as NodeJS.ErrnoException
        if (code === 'ECONNREFUSED' && syscall === 'connect') {
          load.refused++
          return
        }
        load.failures.push(`${kind}: ${(error as Error).message}`)
      }
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, Math.random() * pauseMs))
    }
  }
  const agents = [
    ...Array.from({ length: kept }, () => new Agent({ keepAlive: true, maxSockets: 1 })),
    ...Array.from({ length: fresh }, () => new Agent({ keepAlive: false })),
  ]
  const ended = Promise.all(agents.map((agent, index) => loop(agent, index < kept ? 'kept' : 'fresh'))).then(() => {
    for (const agent of agents) agent.destroy()
    return load
  })
  return { load, ended }
}

const post = (url: string, key: string, body: string, agent: Agent): Promise<number> =>
  new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'content-length': String(body.length) }
    const sent = request(url, { method: 'POST', agent, headers }, (answer: IncomingMessage) => {
      answer.resume()
      answer.once('error', reject)
      answer.once('end', () => resolve(answer.statusCode!))
    })
    sent.once('error', reject)
    sent.end(body)
  })
