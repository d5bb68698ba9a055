/** Opens a TCP connection to a host, at the addresses that the egress guard allows. */
import { connect, type Socket } from 'node:net'
import { abortable } from '../../platform/clock.ts'
import { EgressError, type EgressGuard } from '../../platform/egress.ts'
import { StageError } from './failure.ts'

type Place = { host: string; port: number }

/** Throws StageError, or `signal.reason`. The look-up has `timeoutMs`, and so have all addresses together. */
export async function openSocket(guard: EgressGuard, place: Place, timeoutMs: number, signal: AbortSignal): Promise<Socket> {
  const addresses = await within(timeoutMs, signal, place, (limit) => abortable(addressesOf(guard, place.host), limit))
  let failure: StageError | null = null
  for (const { address, family } of addresses) {
    try {
      return await within(timeoutMs / addresses.length, signal, place, (limit) => tryAddress({ address, family, port: place.port }, limit))
    } catch (error) {
      signal.throwIfAborted()
      failure = error instanceof StageError ? error : failureOf(error, place)
    }
  }
  throw failure!
}

async function within<Value>(
  ms: number,
  signal: AbortSignal,
  { host, port }: Place,
  act: (signal: AbortSignal) => Promise<Value>,
): Promise<Value> {
  const limit = AbortSignal.timeout(ms)
  try {
    return await act(AbortSignal.any([signal, limit]))
  } catch (error) {
    signal.throwIfAborted()
    if (!limit.aborted) throw error
    throw new StageError('TIMEOUT', `${host} did not accept a connection at port ${port} in time. Check the address and the firewalls.`)
  }
}

async function addressesOf(guard: EgressGuard, host: string): Promise<{ address: string; family: 4 | 6 }[]> {
  try {
    return await guard.resolve(host)
  } catch (error) {
    if (!(error instanceof EgressError)) throw error
    const codes = { blocked: 'BLOCKED', dns: 'NAME_UNKNOWN', resolver: 'UNREACHABLE' } as const
    throw new StageError(codes[error.reason], error.message)
  }
}

function tryAddress({ address, family, port }: { address: string; family: number; port: number }, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted()
  const socket = connect({ host: address, family, port, noDelay: true })
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => {
      signal.removeEventListener('abort', abort)
      socket.destroy()
      reject(error)
    }
    const abort = () => fail(signal.reason)
    signal.addEventListener('abort', abort)
    // It remains: whoever uses the socket also listens to its end, and an error that nobody listens to would end the process.
    socket.on('error', fail)
    socket.once('connect', () => {
      signal.removeEventListener('abort', abort)
      resolve(socket)
    })
  })
}

function failureOf(error: unknown, { host, port }: Place): StageError {
  const { code = 'no connection' } = error as NodeJS.ErrnoException
  if (code === 'ECONNREFUSED')
    return new StageError(
      'CONNECTION_REFUSED',
      `${host} refuses connections at port ${port}. Check the port, and that an SSH server is running.`,
    )
  return new StageError('UNREACHABLE', `${host} cannot be reached at port ${port}: ${code}.`)
}
