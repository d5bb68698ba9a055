/** A world with custom domains of two organizations, for tests of their certificates. */
import { expect } from 'vitest'
import type { CertificateAuthority, IssueRequest, IssueResult } from '../../../src/domain/deploys/certificate/ports.ts'
import { rows, run as runSql, sql } from '../../../src/platform/db/index.ts'
import { decodeId, newId } from '../../../src/platform/id.ts'
import type { App } from '../../../src/platform/work.ts'
import { type Authority, issue } from '../../support/certificate.ts'
import { operation, type Tenant } from '../../support/tenant.ts'

export type Domain = { id: string; domain: string; tenant: Tenant; service: string }

// biome-ignore lint/suspicious/noExplicitAny: data of any shape
export async function query(app: App, tenant: Tenant, source: string, variables: Record<string, unknown>): Promise<any> {
  const { data, errors } = await operation(app, tenant.owner, source, variables)
  if (errors) throw new Error(JSON.stringify(errors))
  return data
}

/** A domain that its owner has proven. */
export async function createDomain(app: App, tenant: Tenant, domain = `${newId()}.example.com`): Promise<Domain> {
  const { createProject } = await query(app, tenant, 'mutation ($n: String!) { createProject(input: {name: $n}) { project { id } } }', {
    n: newId(),
  })
  const { createWebService } = await query(
    ...([app, tenant, 'mutation ($p: ID!) { createWebService(input: {projectId: $p, name: "Shop"}) { webService { id } } }'] as const),
    { p: createProject.project.id },
  )
  const service = createWebService.webService.id as string
  const { addCustomDomain } = await query(
    ...([
      app,
      tenant,
      'mutation ($s: ID!, $d: String!) { addCustomDomain(input: {webServiceId: $s, domain: $d}) { customDomain { id } } }',
    ] as const),
    { s: service, d: domain },
  )
  const id = addCustomDomain.customDomain.id as string
  await verify(app, id)
  return { id, domain, tenant, service }
}

export const verify = (app: App, id: string) =>
  runSql(
    app.db,
    sql`update custom_domain set dns_status = 'VERIFIED', verified_at = app_now() where id = ${decodeId('CustomDomain', id)}::uuid`,
  )

export type Shown = {
  sslStatus: string
  sslExpiresAt: string | null
  certificate: null | {
    source: string
    issuer: string | null
    fingerprint: string | null
    notBefore: string | null
    expiresAt: string | null
    lastError: string | null
    nextAttemptAt: string | null
  }
}

export const shown = async (app: App, { id, tenant }: Domain): Promise<Shown> =>
  (
    await query(
      ...([app, tenant] as const),
      `query ($id: ID!) { customDomain(id: $id) { sslStatus sslExpiresAt
         certificate { source issuer fingerprint notBefore expiresAt lastError nextAttemptAt } } }`,
      { id },
    )
  ).customDomain

export const upload =
  'mutation ($id: ID!, $c: String!, $k: String!) { uploadCertificate(input: {customDomainId: $id, certificatePem: $c, privateKeyPem: $k}) { customDomain { sslStatus } } }'
export const remove = 'mutation ($id: ID!) { deleteCertificate(input: {customDomainId: $id}) { customDomain { sslStatus } } }'
export const retry = 'mutation ($id: ID!) { retryCertificate(input: {customDomainId: $id}) { customDomain { sslStatus } } }'

/** The error of an operation, or the code `done`. */
export async function refused(app: App, { tenant }: Domain, source: string, variables: Record<string, unknown>) {
  const { errors } = await operation(app, tenant.owner, source, variables)
  return errors?.[0] ?? { code: 'done', message: '', field: undefined }
}

export async function eventsOf(app: App, { domain }: Domain): Promise<{ type: string; data: Record<string, unknown> }[]> {
  const found = await rows<{ type: string; data: Record<string, unknown> }>(
    app.db,
    sql`select type, data from event where type like 'certificate.%' and data->>'domain' = ${domain} order by created_at, id`,
  )
  return found.map(({ type, data }) => ({ type: type.slice('certificate.'.length), data }))
}

type Script = (request: IssueRequest, signal: AbortSignal) => Promise<IssueResult>

/** A certificate authority that does what the next script for a domain says, or else issues. */
export function scriptedAuthority(authority: Authority, chain: string[] = []) {
  const scripts = new Map<string, Script[]>()
  const requests: IssueRequest[] = []
  const issues: Script = async ({ domain, privateKey, onOrder, onChallenge, orderUrl }) => {
    if (orderUrl === null) await onOrder(`https://ca.example/order/${newId()}`)
    await onChallenge({ token: `token-of-${newId()}`, answer: 'answer' })
    const { certificate } = await issue(authority, { hosts: [domain], privateKey })
    return { type: 'issued', chain: [certificate, ...chain].join('') }
  }
  const driver: CertificateAuthority = {
    issue(request, signal) {
      requests.push(request)
      return (scripts.get(request.domain)?.shift() ?? issues)(request, signal)
    },
  }
  return { driver, requests, issues, script: (domain: string, ...some: Script[]) => void scripts.set(domain, some) }
}

export const failing =
  (failure: Extract<IssueResult, { type: 'failed' }>['failure'], retryAfterMs: number | null = null): Script =>
  async () => ({ type: 'failed', failure, message: `The certificate authority said ${failure}.`, retryAfterMs })

export const minutesUntil = (text: string | null, now: Date): number => {
  expect(text).not.toBeNull()
  return (new Date(text!).getTime() - now.getTime()) / 60_000
}
