/** Classification of failed requests: caused by the receiver, or a local fault. */
import { isIPv6, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { OutgoingFaultCode, OutgoingResult } from '../../domain/webhooks/endpoint/ports.ts'
import { PortError } from '../../platform/errors.ts'

export type FailureClass = Extract<OutgoingResult, { type: 'failure' }>['errorClass']

/** A failure caused by the receiver, or a target that is not allowed. The message may be public. */
export class Failure extends Error {
  override readonly name = 'Failure'
  readonly errorClass: FailureClass

  constructor(errorClass: FailureClass, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.errorClass = errorClass
  }
}

/** A fault that the receiver did not cause. The message may be public. */
export const localFault = (code: OutgoingFaultCode, message: string, cause?: unknown) =>
  new PortError<OutgoingFaultCode>(code, message, cause === undefined ? {} : { cause })

type FailureContext = {
  socket?: Socket | null
  /** Whether the connection, including TLS, was established. Only then may the receiver have received anything. */
  wasConnected: boolean
  host: string
  addresses: readonly { address: string }[]
}

/** Returns a Failure for what the receiver caused, and a PortError if this machine lacked resources or a route. */
export function classify(error: NodeJS.ErrnoException, { socket = null, wasConnected, host, addresses }: FailureContext): Error {
  if (error instanceof Failure || error instanceof PortError) return error
  // There is one error per address tried. If the receiver caused one of them, it is not a local fault.
  const faults: NodeJS.ErrnoException[] = error instanceof AggregateError ? error.errors : [error]
  const remote = faults.find((fault) => !isLocal(fault))
  if (!remote) return describeLocal(faults, host, addresses, error)
  const code = remote.code ?? 'unknown'
  const fail = (errorClass: FailureClass, text: string) => new Failure(errorClass, `${text} (${code}).`, { cause: error })
  const certificateFault = socket instanceof TLSSocket ? socket.authorizationError : null
  if (certificateFault) return fail('tls', `The certificate of ${host} was not accepted`)
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) return fail('tls', `The TLS handshake with ${host} failed`)
  if (code === 'ETIMEDOUT' || code === 'ERR_SOCKET_CONNECTION_TIMEOUT') return fail('timeout', `${host} did not answer in time`)
  if (!wasConnected && remote.syscall === 'connect') return fail('refused', `A connection to ${host} could not be established`)
  if (code.startsWith('HPE_')) return fail('reset', `The response of ${host} is not valid HTTP`)
  if (!wasConnected) return fail('reset', `${host} closed the connection before it was established`)
  return fail('reset', `${host} closed the connection before the response was complete`)
}

const resourceCodes = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'])
/**
 * This machine has no route or source address, or its routes or firewall deny the connection (EINVAL comes from a blackhole route). Local
 * only while connecting: on an established connection, the request may already have been sent.
 */
const routeCodes = new Set(['ENETDOWN', 'ENETUNREACH', 'EHOSTUNREACH', 'EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EACCES', 'EPERM', 'EINVAL'])

const isLocal = ({ code = '', syscall }: NodeJS.ErrnoException) =>
  resourceCodes.has(code) || ((syscall === 'connect' || syscall === 'bind') && routeCodes.has(code))

/** The message tells the owner of the endpoint what to check, because only they know whether the address is right. */
function describeLocal(faults: NodeJS.ErrnoException[], host: string, addresses: readonly { address: string }[], cause: Error): Error {
  const code = faults[0]?.code ?? 'unknown'
  if (faults.some((fault) => resourceCodes.has(fault.code ?? '')))
    return localFault('LOCAL', `Quayside lacks the resources for another connection (${code}).`, cause)
  const isName = !host.startsWith('[')
  const onlyIPv6 = isName && addresses.length > 0 && addresses.every(({ address }) => isIPv6(address))
  const what = onlyIPv6 ? `${host}, which has only an IPv6 address` : host
  return localFault('NO_ROUTE', `There is no route from this machine to ${what} (${code}).`, cause)
}
