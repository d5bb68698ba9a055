/**
 * Bodies that need more than a row: services with their observed state, deployments with their logs, variables and secrets with their
 * plain values. One or two statements for any number of rows.
 */
import { plainEnvVarValues } from '../../domain/configuration/env-var/index.ts'
import { plainSecretValues } from '../../domain/configuration/secret/index.ts'
import { deploymentLogTails, serviceOverviews } from '../../domain/deploys/deployment/index.ts'
import type { View } from '../core/index.ts'
import { type Body, type DeploymentRow, deploymentBody, type ServiceRow, webServiceBody } from './bodies.ts'
import { type ConfigurationBody, type EnvVarRow, envVarBody, type SecretRow, secretBody } from './configuration-bodies.ts'

export async function webServiceBodies(rows: readonly ServiceRow[], { ask }: View): Promise<Body<'webService'>[]> {
  const seen = await ask(serviceOverviews, { ids: rows.map(({ id }) => id) })
  return rows.map((row) => webServiceBody(row, seen.get(row.id)))
}

export const oneWebService = async (row: ServiceRow, view: View): Promise<Body<'webService'>> => (await webServiceBodies([row], view))[0]!

/** Maximum size of the log in the body of a single deployment, and of one in a list. */
const logBytes = 256 * 1024
const listedLogBytes = 8 * 1024

export async function deploymentBodies(
  rows: readonly DeploymentRow[],
  { ask }: View,
  bytes = listedLogBytes,
): Promise<Body<'deployment'>[]> {
  const tails = await ask(deploymentLogTails, { ids: rows.map(({ id }) => id), bytes })
  return rows.map((row) => deploymentBody(row, tails.get(row.id)))
}

export const oneDeployment = async (row: DeploymentRow, view: View): Promise<Body<'deployment'>> =>
  (await deploymentBodies([row], view, logBytes))[0]!

export async function envVarBodies(rows: readonly EnvVarRow[], { ask }: View): Promise<ConfigurationBody<'envVar'>[]> {
  const values = await ask(plainEnvVarValues, { ids: rows.map(({ id }) => id) })
  return rows.map((row) => envVarBody(row, values.get(row.id)))
}

export const oneEnvVar = async (row: EnvVarRow, view: View): Promise<ConfigurationBody<'envVar'>> => (await envVarBodies([row], view))[0]!

export async function secretBodies(rows: readonly SecretRow[], { ask }: View): Promise<ConfigurationBody<'secret'>[]> {
  const values = await ask(plainSecretValues, { ids: rows.map(({ id }) => id) })
  return rows.map((row) => secretBody(row, values.get(row.id)))
}

export const oneSecret = async (row: SecretRow, view: View): Promise<ConfigurationBody<'secret'>> => (await secretBodies([row], view))[0]!
