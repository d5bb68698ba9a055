/** Short connections of the control plane to a server: one question each. */
import type { Redis } from 'ioredis'
import { platformUser } from './config.ts'

export const loopback = '127.0.0.1'
const answerMs = 2_000

/** The server answered with an error. */
export class Refusal extends Error {}

/** Connects, runs `work` and disconnects. Throws Refusal if the server refuses, and any other Error if it does not answer within two seconds. */
export async function onConnection<Result>(port: number, password: string, work: (client: Redis) => Promise<Result>): Promise<Result> {
  // Imported only here, because most installations have no server when they start.
  const { Redis, ReplyError } = await import('ioredis')
  const client = new Redis({
    host: loopback,
    port,
    username: platformUser,
    password,
    lazyConnect: true,
    enableReadyCheck: false,
    disableClientInfo: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
  })
  const refusals: Error[] = []
  client.on('error', (error) => void refusals.push(error))
  const timer = setTimeout(() => client.disconnect(), answerMs)
  try {
    await client.connect()
    return await work(client)
  } catch (error) {
    // A server that refuses a connection, because it has too many, says so before it closes it.
    const refusal = [error, ...refusals].find((one): one is Error => one instanceof ReplyError)
    throw refusal ? new Refusal(refusal.message) : error
  } finally {
    clearTimeout(timer)
    client.disconnect()
  }
}

/** The fields of an answer to INFO. */
export function parseInfo(text: string): Map<string, string> {
  const fields = text.split('\r\n').flatMap((line): [string, string][] => {
    const at = line.indexOf(':')
    return at > 0 ? [[line.slice(0, at), line.slice(at + 1)]] : []
  })
  return new Map(fields)
}
