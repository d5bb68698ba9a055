/** Orders certificates by ACME (RFC 8555) with HTTP-01 challenges, over acme-client. */
import type { Authorization, Client, Order } from 'acme-client'
import type { CertificateAuthority, IssueFailure, IssueRequest, IssueResult } from '../../domain/deploys/certificate/ports.ts'
import type { OutgoingHttp } from '../../domain/webhooks/endpoint/ports.ts'
import { pause } from '../../platform/clock.ts'
import { adapter, type Call, type Problem, Unreachable, withinCall } from './transport.ts'

export type AcmeOptions = {
  directoryUrl: string
  /** Told to the authority, which may send notices to it. */
  email: string | undefined
  http: Pick<OutgoingHttp, 'get' | 'post'>
}

const problemPrefix = 'urn:ietf:params:acme:error:'
const firstPollMs = 250
const maxPollMs = 5_000
/** Longest wait between two polls that an authority can ask for. */
const maxRetryAfterMs = 30_000

/** A failure that the authority reports in an answer without an error status. */
class Refusal extends Error {
  readonly failure: IssueFailure
  constructor(failure: IssueFailure, message: string) {
    super(message)
    this.failure = failure
  }
}

/** What a callback of the caller has thrown. */
class CallbackFailure extends Error {}

/** Imported at first use, because its libraries are large. */
async function load() {
  const acme = await import('acme-client')
  acme.axios.defaults.adapter = adapter
  return acme
}

export function createAcme({ directoryUrl, email, http }: AcmeOptions): CertificateAuthority {
  return {
    async issue(request, signal) {
      const acme = await load()
      const overdue = new AbortController()
      const timer = setTimeout(() => overdue.abort(new Error('overdue')), request.timeoutMs)
      const call: Call = { http, signal: AbortSignal.any([signal, overdue.signal]), problem: null, retryAfterMs: null }
      try {
        return await withinCall(call, async () => {
          const client = new acme.Client({ directoryUrl, accountKey: request.accountKey })
          const [, csr] = await acme.crypto.createCsr({ altNames: [request.domain] }, request.privateKey)
          await openAccount(client, call, email === undefined ? {} : { contact: [`mailto:${email}`] })
          return { type: 'issued', chain: await complete(client, call, request, csr) }
        })
      } catch (error) {
        signal.throwIfAborted()
        if (error instanceof CallbackFailure) throw error.cause
        return failureOf(error, call, overdue.signal.aborted ? request.timeoutMs : null)
      } finally {
        clearTimeout(timer)
      }
    },
  }
}

/** Finds the account of the key, or creates it. acme-client would send an existing one an update without content, which is refused. */
async function openAccount(client: Client, call: Call, told: { contact?: string[] }): Promise<void> {
  try {
    await client.createAccount({ onlyReturnExisting: true })
  } catch (error) {
    if (call.problem?.type !== `${problemPrefix}accountDoesNotExist`) throw error
    await client.createAccount({ termsOfServiceAgreed: true, ...told })
    return
  }
  if (told.contact) await client.updateAccount(told)
}

/** Takes an order through its states (RFC 8555, section 7.1.6) to the certificate, from wherever an earlier call has left it. */
async function complete(client: Client, call: Call, request: IssueRequest, csr: Buffer): Promise<string> {
  let order = (await resumed(client, call, request.orderUrl)) ?? (await opened(client, request))
  if (order.status === 'pending') {
    for (const { url } of await client.getAuthorizations(order)) await authorize(client, call, request, { order, url })
    order = await poll(call, () => client.getOrder(order), ['ready', 'valid'])
  }
  if (order.status === 'ready') order = { ...(await client.finalizeOrder(order, csr)), url: order.url }
  order = await poll(call, () => client.getOrder(order), ['valid'])
  return client.getCertificate(order)
}

/** An order that is still of use. Null if the authority does not have it any more. */
async function resumed(client: Client, call: Call, url: string | null): Promise<Order | null> {
  if (url === null) return null
  try {
    const order = await client.getOrder({ url } as Order)
    return order.status === 'invalid' ? null : order
  } catch (error) {
    const { problem } = call
    if (problem !== null && problem.status < 500 && problem.status !== 429) return null
    throw error
  }
}

async function opened(client: Client, { domain, onOrder }: IssueRequest): Promise<Order> {
  const order = await client.createOrder({ identifiers: [{ type: 'dns', value: domain }] })
  await callback(onOrder(order.url))
  return order
}

async function authorize(client: Client, call: Call, { onChallenge }: IssueRequest, { order, url }: { order: Order; url: string }) {
  const read = async (): Promise<Authorization> => {
    const found = (await client.getAuthorizations(order)).find((authorization) => authorization.url === url)
    if (!found) throw new Error('an authorization of the order is missing')
    return found
  }
  const authorization = await read()
  if (authorization.status === 'pending') {
    const challenge = authorization.challenges.find(({ type }) => type === 'http-01')
    if (!challenge) throw new Refusal('refused', 'it offers no HTTP-01 challenge')
    if (challenge.status === 'pending') {
      await callback(onChallenge({ token: challenge.token, answer: await client.getChallengeKeyAuthorization(challenge) }))
      await client.completeChallenge(challenge)
    }
  }
  await poll(call, read, ['valid'])
}

async function callback(running: Promise<void>): Promise<void> {
  try {
    await running
  } catch (cause) {
    throw new CallbackFailure('a callback failed', { cause })
  }
}

/** Reads until the status is one of `wanted`. Throws a Refusal if it becomes one from which it cannot. */
async function poll<Item extends Order | Authorization>(call: Call, read: () => Promise<Item>, wanted: readonly string[]): Promise<Item> {
  for (let waitMs = firstPollMs; ; waitMs = Math.min(waitMs * 1.5, maxPollMs)) {
    const item = await read()
    if (wanted.includes(item.status)) return item
    if (item.status !== 'pending' && item.status !== 'processing') throw refusalOf(item)
    await pause(Math.max(waitMs, Math.min(call.retryAfterMs ?? 0, maxRetryAfterMs)), call.signal)
    call.signal.throwIfAborted()
  }
}

function refusalOf(item: Order | Authorization): Refusal {
  if ('challenges' in item) {
    const error = item.challenges.map((challenge) => challenge.error as { detail?: string } | undefined).find(Boolean)
    return new Refusal('challenge', `it could not verify the domain: ${error?.detail ?? `the authorization is ${item.status}`}`)
  }
  const { error } = item as { error?: { type?: string; detail?: string } }
  const failure = error?.type ? classify({ status: 403, type: error.type, detail: '' }) : 'refused'
  return new Refusal(failure, `the order is ${item.status}${error?.detail ? `: ${error.detail}` : ''}`)
}

const failures: Record<string, IssueFailure> = {
  rateLimited: 'rate_limited',
  ...{ rejectedIdentifier: 'refused', unsupportedIdentifier: 'refused', caa: 'refused', badCSR: 'refused' },
  ...{ connection: 'challenge', dns: 'challenge', incorrectResponse: 'challenge', tls: 'challenge' },
  ...{ accountDoesNotExist: 'account', externalAccountRequired: 'account', unauthorized: 'account', userActionRequired: 'account' },
  ...{ invalidContact: 'account', unsupportedContact: 'account', badPublicKey: 'account' },
  serverInternal: 'unreachable',
}

function classify({ status, type }: Problem): IssueFailure {
  const known = failures[type.replace(problemPrefix, '')]
  return known ?? (status === 429 ? 'rate_limited' : status >= 500 ? 'unreachable' : 'protocol')
}

const phrases: Record<IssueFailure, string> = {
  challenge: 'could not verify the domain',
  refused: 'refused to issue a certificate for the domain',
  rate_limited: 'does not issue more certificates at present',
  account: 'does not accept the account of this installation',
  unreachable: 'reported a failure of its own',
  protocol: 'refused a request',
}

function failureOf(error: unknown, call: Call, overdueMs: number | null): IssueResult {
  const failed = (failure: IssueFailure, what: string): IssueResult => ({
    ...{ type: 'failed', failure, retryAfterMs: failure === 'challenge' ? null : call.retryAfterMs },
    message: `The certificate authority ${what}.`.replace(/\.+$/, '.'),
  })
  if (overdueMs !== null) return failed('unreachable', `did not finish the order within ${overdueMs} ms`)
  if (error instanceof Unreachable) return failed('unreachable', `could not be reached: ${error.message}`)
  if (error instanceof Refusal) return failed(error.failure, `did not issue a certificate: ${error.message}`)
  if (call.problem) {
    const failure = classify(call.problem)
    const { status, detail } = call.problem
    return failed(failure, `${phrases[failure]}: ${detail || `status ${status}`}`)
  }
  return failed('protocol', `sent an answer that is not valid: ${error instanceof Error ? error.message : String(error)}`)
}
