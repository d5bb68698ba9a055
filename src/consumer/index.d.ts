/** Printed by `npm run generate` from the registry of event types. */

export type Envelope<Type extends string, Version extends number, Data> = {
  type: Type
  /** Time when the event occurred, as an ISO 8601 string. */
  timestamp: string
  data: Data
  /** ID of the event. Equal to the header `webhook-id`. */
  id: string
  organizationId: string
  /** Number of the event, starting at 1 for each subject. An event with a lower number than the last one is stale. */
  sequence: number
  schemaVersion: Version
  /** Present if the event is a manually sent test. */
  test?: true
}

export type ApiKeyCreatedDataV1 = {
  /** ID of the API key. */
  apiKeyId: string
  /** Name of the API key. */
  name: string
  /** API that accepts this key. */
  kind: 'PLATFORM' | 'OEC' | 'OCORE' | 'BRIDGE'
  /** Scope of the API key. */
  scope: 'READ' | 'WRITE' | 'ADMIN'
}

export type ApiKeyRevokedDataV1 = {
  /** ID of the API key. */
  apiKeyId: string
  /** Name of the API key. */
  name: string
  /** API that accepts this key. */
  kind: 'PLATFORM' | 'OEC' | 'OCORE' | 'BRIDGE'
  /** Scope of the API key. */
  scope: 'READ' | 'WRITE' | 'ADMIN'
}

export type DeploymentCancelledDataV1 = {
  /** ID of the deployment. */
  deploymentId: string
  /** ID of the web service. */
  webServiceId: string
  /** ID of the project. */
  projectId: string
  /** Number of the deployment, starting at 1 for each service. */
  number: number
  /** Kind of the deployment. */
  kind: 'DEPLOY' | 'REDEPLOY' | 'ROLLBACK'
  /** Status of the deployment after the change. */
  status: 'QUEUED' | 'RUNNING' | 'CANCELLING' | 'LIVE' | 'SUPERSEDED' | 'FAILED' | 'CANCELLED' | 'SKIPPED'
  /** Deployed branch. */
  branch: string | null
  /** Hash of the deployed commit. Null before the phase `PREPARE` has ended. */
  commitHash: string | null
  /** ID of the deployment that a rollback restores. Null for other kinds. */
  restoresId: string | null
  /** Reason for the failure. Null unless the deployment failed. */
  failure: {
    /** Phase in which the deployment failed. */
    phase: 'PREPARE' | 'BUILD' | 'RELEASE' | 'START' | 'VERIFY' | 'SWITCH'
    /** Machine-readable reason, one of the values of `DeploymentFailureCode`. */
    code: string
    /** Human-readable reason. */
    message: string
    /** Suggestion for resolving the failure. */
    hint: string | null
  } | null
}

export type DeploymentFailedDataV1 = {
  /** ID of the deployment. */
  deploymentId: string
  /** ID of the web service. */
  webServiceId: string
  /** ID of the project. */
  projectId: string
  /** Number of the deployment, starting at 1 for each service. */
  number: number
  /** Kind of the deployment. */
  kind: 'DEPLOY' | 'REDEPLOY' | 'ROLLBACK'
  /** Status of the deployment after the change. */
  status: 'QUEUED' | 'RUNNING' | 'CANCELLING' | 'LIVE' | 'SUPERSEDED' | 'FAILED' | 'CANCELLED' | 'SKIPPED'
  /** Deployed branch. */
  branch: string | null
  /** Hash of the deployed commit. Null before the phase `PREPARE` has ended. */
  commitHash: string | null
  /** ID of the deployment that a rollback restores. Null for other kinds. */
  restoresId: string | null
  /** Reason for the failure. Null unless the deployment failed. */
  failure: {
    /** Phase in which the deployment failed. */
    phase: 'PREPARE' | 'BUILD' | 'RELEASE' | 'START' | 'VERIFY' | 'SWITCH'
    /** Machine-readable reason, one of the values of `DeploymentFailureCode`. */
    code: string
    /** Human-readable reason. */
    message: string
    /** Suggestion for resolving the failure. */
    hint: string | null
  } | null
}

export type DeploymentQueuedDataV1 = {
  /** ID of the deployment. */
  deploymentId: string
  /** ID of the web service. */
  webServiceId: string
  /** ID of the project. */
  projectId: string
  /** Number of the deployment, starting at 1 for each service. */
  number: number
  /** Kind of the deployment. */
  kind: 'DEPLOY' | 'REDEPLOY' | 'ROLLBACK'
  /** Status of the deployment after the change. */
  status: 'QUEUED' | 'RUNNING' | 'CANCELLING' | 'LIVE' | 'SUPERSEDED' | 'FAILED' | 'CANCELLED' | 'SKIPPED'
  /** Deployed branch. */
  branch: string | null
  /** Hash of the deployed commit. Null before the phase `PREPARE` has ended. */
  commitHash: string | null
  /** ID of the deployment that a rollback restores. Null for other kinds. */
  restoresId: string | null
  /** Reason for the failure. Null unless the deployment failed. */
  failure: {
    /** Phase in which the deployment failed. */
    phase: 'PREPARE' | 'BUILD' | 'RELEASE' | 'START' | 'VERIFY' | 'SWITCH'
    /** Machine-readable reason, one of the values of `DeploymentFailureCode`. */
    code: string
    /** Human-readable reason. */
    message: string
    /** Suggestion for resolving the failure. */
    hint: string | null
  } | null
}

export type DeploymentRolledBackDataV1 = {
  /** ID of the deployment. */
  deploymentId: string
  /** ID of the web service. */
  webServiceId: string
  /** ID of the project. */
  projectId: string
  /** Number of the deployment, starting at 1 for each service. */
  number: number
  /** Kind of the deployment. */
  kind: 'DEPLOY' | 'REDEPLOY' | 'ROLLBACK'
  /** Status of the deployment after the change. */
  status: 'QUEUED' | 'RUNNING' | 'CANCELLING' | 'LIVE' | 'SUPERSEDED' | 'FAILED' | 'CANCELLED' | 'SKIPPED'
  /** Deployed branch. */
  branch: string | null
  /** Hash of the deployed commit. Null before the phase `PREPARE` has ended. */
  commitHash: string | null
  /** ID of the deployment that a rollback restores. Null for other kinds. */
  restoresId: string | null
  /** Reason for the failure. Null unless the deployment failed. */
  failure: {
    /** Phase in which the deployment failed. */
    phase: 'PREPARE' | 'BUILD' | 'RELEASE' | 'START' | 'VERIFY' | 'SWITCH'
    /** Machine-readable reason, one of the values of `DeploymentFailureCode`. */
    code: string
    /** Human-readable reason. */
    message: string
    /** Suggestion for resolving the failure. */
    hint: string | null
  } | null
}

export type DeploymentSkippedDataV1 = {
  /** ID of the deployment. */
  deploymentId: string
  /** ID of the web service. */
  webServiceId: string
  /** ID of the project. */
  projectId: string
  /** Number of the deployment, starting at 1 for each service. */
  number: number
  /** Kind of the deployment. */
  kind: 'DEPLOY' | 'REDEPLOY' | 'ROLLBACK'
  /** Status of the deployment after the change. */
  status: 'QUEUED' | 'RUNNING' | 'CANCELLING' | 'LIVE' | 'SUPERSEDED' | 'FAILED' | 'CANCELLED' | 'SKIPPED'
  /** Deployed branch. */
  branch: string | null
  /** Hash of the deployed commit. Null before the phase `PREPARE` has ended. */
  commitHash: string | null
  /** ID of the deployment that a rollback restores. Null for other kinds. */
  restoresId: string | null
  /** Reason for the failure. Null unless the deployment failed. */
  failure: {
    /** Phase in which the deployment failed. */
    phase: 'PREPARE' | 'BUILD' | 'RELEASE' | 'START' | 'VERIFY' | 'SWITCH'
    /** Machine-readable reason, one of the values of `DeploymentFailureCode`. */
    code: string
    /** Human-readable reason. */
    message: string
    /** Suggestion for resolving the failure. */
    hint: string | null
  } | null
}

export type DeploymentStartedDataV1 = {
  /** ID of the deployment. */
  deploymentId: string
  /** ID of the web service. */
  webServiceId: string
  /** ID of the project. */
  projectId: string
  /** Number of the deployment, starting at 1 for each service. */
  number: number
  /** Kind of the deployment. */
  kind: 'DEPLOY' | 'REDEPLOY' | 'ROLLBACK'
  /** Status of the deployment after the change. */
  status: 'QUEUED' | 'RUNNING' | 'CANCELLING' | 'LIVE' | 'SUPERSEDED' | 'FAILED' | 'CANCELLED' | 'SKIPPED'
  /** Deployed branch. */
  branch: string | null
  /** Hash of the deployed commit. Null before the phase `PREPARE` has ended. */
  commitHash: string | null
  /** ID of the deployment that a rollback restores. Null for other kinds. */
  restoresId: string | null
  /** Reason for the failure. Null unless the deployment failed. */
  failure: {
    /** Phase in which the deployment failed. */
    phase: 'PREPARE' | 'BUILD' | 'RELEASE' | 'START' | 'VERIFY' | 'SWITCH'
    /** Machine-readable reason, one of the values of `DeploymentFailureCode`. */
    code: string
    /** Human-readable reason. */
    message: string
    /** Suggestion for resolving the failure. */
    hint: string | null
  } | null
}

export type DeploymentSucceededDataV1 = {
  /** ID of the deployment. */
  deploymentId: string
  /** ID of the web service. */
  webServiceId: string
  /** ID of the project. */
  projectId: string
  /** Number of the deployment, starting at 1 for each service. */
  number: number
  /** Kind of the deployment. */
  kind: 'DEPLOY' | 'REDEPLOY' | 'ROLLBACK'
  /** Status of the deployment after the change. */
  status: 'QUEUED' | 'RUNNING' | 'CANCELLING' | 'LIVE' | 'SUPERSEDED' | 'FAILED' | 'CANCELLED' | 'SKIPPED'
  /** Deployed branch. */
  branch: string | null
  /** Hash of the deployed commit. Null before the phase `PREPARE` has ended. */
  commitHash: string | null
  /** ID of the deployment that a rollback restores. Null for other kinds. */
  restoresId: string | null
  /** Reason for the failure. Null unless the deployment failed. */
  failure: {
    /** Phase in which the deployment failed. */
    phase: 'PREPARE' | 'BUILD' | 'RELEASE' | 'START' | 'VERIFY' | 'SWITCH'
    /** Machine-readable reason, one of the values of `DeploymentFailureCode`. */
    code: string
    /** Human-readable reason. */
    message: string
    /** Suggestion for resolving the failure. */
    hint: string | null
  } | null
}

export type DeploymentSupersededDataV1 = {
  /** ID of the deployment. */
  deploymentId: string
  /** ID of the web service. */
  webServiceId: string
  /** ID of the project. */
  projectId: string
  /** Number of the deployment, starting at 1 for each service. */
  number: number
  /** Kind of the deployment. */
  kind: 'DEPLOY' | 'REDEPLOY' | 'ROLLBACK'
  /** Status of the deployment after the change. */
  status: 'QUEUED' | 'RUNNING' | 'CANCELLING' | 'LIVE' | 'SUPERSEDED' | 'FAILED' | 'CANCELLED' | 'SKIPPED'
  /** Deployed branch. */
  branch: string | null
  /** Hash of the deployed commit. Null before the phase `PREPARE` has ended. */
  commitHash: string | null
  /** ID of the deployment that a rollback restores. Null for other kinds. */
  restoresId: string | null
  /** Reason for the failure. Null unless the deployment failed. */
  failure: {
    /** Phase in which the deployment failed. */
    phase: 'PREPARE' | 'BUILD' | 'RELEASE' | 'START' | 'VERIFY' | 'SWITCH'
    /** Machine-readable reason, one of the values of `DeploymentFailureCode`. */
    code: string
    /** Human-readable reason. */
    message: string
    /** Suggestion for resolving the failure. */
    hint: string | null
  } | null
}

export type EnvVarChangedDataV1 = {
  /** ID of the web service. */
  webServiceId: string
  /** ID of the project. */
  projectId: string
  /** Keys of the created variables. */
  created: Array<string>
  /** Keys of the variables whose value or flags changed. */
  updated: Array<string>
  /** Keys of the deleted variables. */
  deleted: Array<string>
  /** Whether a deployment was requested together with the change. */
  deploy: boolean
}

export type EnvVarRevealedDataV1 = {
  /** ID of the web service. */
  webServiceId: string
  /** ID of the project. */
  projectId: string
  /** Keys of the revealed variables. */
  keys: Array<string>
  /** Name of the user or API key that revealed them. */
  revealedBy: string
}

export type EnvironmentCreatedDataV1 = {
  /** ID of the environment. */
  environmentId: string
  /** ID of the project. */
  projectId: string
  /** Name of the environment. */
  name: string
  /** Type of the environment. */
  type: 'PRODUCTION' | 'STAGING' | 'DEVELOPMENT'
}

export type EnvironmentDeletedDataV1 = {
  /** ID of the environment. */
  environmentId: string
  /** ID of the project. */
  projectId: string
  /** Name of the environment. */
  name: string
  /** Type of the environment. */
  type: 'PRODUCTION' | 'STAGING' | 'DEVELOPMENT'
  /** Whether the services of the environment are deleted with it. */
  cascade: boolean
}

export type EnvironmentStatusChangedDataV1 = {
  /** ID of the environment. */
  environmentId: string
  /** ID of the project. */
  projectId: string
  /** Name of the environment. */
  name: string
  /** Type of the environment. */
  type: 'PRODUCTION' | 'STAGING' | 'DEVELOPMENT'
  /** New status of the environment. */
  status: 'PENDING' | 'DEPLOYING' | 'RUNNING' | 'DEGRADED' | 'STOPPED' | 'FAILED' | 'DELETING'
  /** Previously reported status of the environment. */
  formerStatus: 'PENDING' | 'DEPLOYING' | 'RUNNING' | 'DEGRADED' | 'STOPPED' | 'FAILED' | 'DELETING'
}

export type OrganizationCreatedDataV1 = {
  /** ID of the organization. */
  organizationId: string
  /** Name of the organization. */
  name: string
  /** Slug of the organization. */
  slug: string
}

export type ProjectCreatedDataV1 = {
  /** ID of the project. */
  projectId: string
  /** Name of the project. */
  name: string
  /** Slug of the project. */
  slug: string
}

export type ProjectDeletedDataV1 = {
  /** ID of the project. */
  projectId: string
  /** Name of the project. */
  name: string
  /** Slug of the project. */
  slug: string
  /** Whether the contents of the project are deleted with it. */
  cascade: boolean
}

export type ProjectUpdatedDataV1 = {
  /** ID of the project. */
  projectId: string
  /** Name of the project. */
  name: string
  /** Slug of the project. */
  slug: string
}

export type SecretCreatedDataV1 = {
  /** ID of the secret. */
  secretId: string
  /** ID of the project. */
  projectId: string
  /** Key of the secret. */
  key: string
  /** Scope of the secret. */
  scope: 'PRODUCTION' | 'STAGING' | 'DEVELOPMENT'
  /** Number of the newest version. */
  currentVersion: number
}

export type SecretDeletedDataV1 = {
  /** ID of the secret. */
  secretId: string
  /** ID of the project. */
  projectId: string
  /** Key of the secret. */
  key: string
  /** Scope of the secret. */
  scope: 'PRODUCTION' | 'STAGING' | 'DEVELOPMENT'
  /** Number of the newest version. */
  currentVersion: number
}

export type SecretRevealedDataV1 = {
  /** ID of the secret. */
  secretId: string
  /** ID of the project. */
  projectId: string
  /** Key of the secret. */
  key: string
  /** Scope of the secret. */
  scope: 'PRODUCTION' | 'STAGING' | 'DEVELOPMENT'
  /** Number of the newest version. */
  currentVersion: number
  /** Number of the revealed version. */
  version: number
  /** Name of the user or API key that revealed the value. */
  revealedBy: string
}

export type SecretUpdatedDataV1 = {
  /** ID of the secret. */
  secretId: string
  /** ID of the project. */
  projectId: string
  /** Key of the secret. */
  key: string
  /** Scope of the secret. */
  scope: 'PRODUCTION' | 'STAGING' | 'DEVELOPMENT'
  /** Number of the newest version. */
  currentVersion: number
  /** Number of the revoked version. Null if no version was revoked. */
  revokedVersion: number | null
}

export type SecretBindingCreatedDataV1 = {
  /** ID of the secret binding. */
  secretBindingId: string
  /** ID of the web service. */
  webServiceId: string
  /** ID of the project. */
  projectId: string
  /** ID of the bound secret. */
  secretId: string
  /** Name of the variable that the service receives. */
  alias: string
}

export type SecretBindingDeletedDataV1 = {
  /** ID of the secret binding. */
  secretBindingId: string
  /** ID of the web service. */
  webServiceId: string
  /** ID of the project. */
  projectId: string
  /** ID of the bound secret. */
  secretId: string
  /** Name of the variable that the service receives. */
  alias: string
}

export type WebServiceCrashedDataV1 = {
  /** ID of the web service. */
  webServiceId: string
  /** ID of the project. */
  projectId: string
  /** Name of the web service. */
  name: string
  /** Slug of the web service. */
  slug: string
}

export type WebServiceCreatedDataV1 = {
  /** ID of the web service. */
  webServiceId: string
  /** ID of the project. */
  projectId: string
  /** ID of the environment. */
  environmentId: string
  /** Name of the web service. */
  name: string
  /** Slug of the web service, the first label of its host name. */
  slug: string
  /** Kind of the web service. */
  kind: 'WEB' | 'STATIC_SITE' | 'WORKER' | 'ODOO'
}

export type WebServiceDeletedDataV1 = {
  /** ID of the web service. */
  webServiceId: string
  /** ID of the project. */
  projectId: string
  /** ID of the environment. */
  environmentId: string
  /** Name of the web service. */
  name: string
  /** Slug of the web service, the first label of its host name. */
  slug: string
  /** Kind of the web service. */
  kind: 'WEB' | 'STATIC_SITE' | 'WORKER' | 'ODOO'
}

export type WebServiceRecoveredDataV1 = {
  /** ID of the web service. */
  webServiceId: string
  /** ID of the project. */
  projectId: string
  /** Name of the web service. */
  name: string
  /** Slug of the web service. */
  slug: string
}

export type WebServiceRestartedDataV1 = {
  /** ID of the web service. */
  webServiceId: string
  /** ID of the project. */
  projectId: string
  /** ID of the environment. */
  environmentId: string
  /** Name of the web service. */
  name: string
  /** Slug of the web service, the first label of its host name. */
  slug: string
  /** Kind of the web service. */
  kind: 'WEB' | 'STATIC_SITE' | 'WORKER' | 'ODOO'
}

export type WebServiceStartedDataV1 = {
  /** ID of the web service. */
  webServiceId: string
  /** ID of the project. */
  projectId: string
  /** ID of the environment. */
  environmentId: string
  /** Name of the web service. */
  name: string
  /** Slug of the web service, the first label of its host name. */
  slug: string
  /** Kind of the web service. */
  kind: 'WEB' | 'STATIC_SITE' | 'WORKER' | 'ODOO'
}

export type WebServiceStoppedDataV1 = {
  /** ID of the web service. */
  webServiceId: string
  /** ID of the project. */
  projectId: string
  /** ID of the environment. */
  environmentId: string
  /** Name of the web service. */
  name: string
  /** Slug of the web service, the first label of its host name. */
  slug: string
  /** Kind of the web service. */
  kind: 'WEB' | 'STATIC_SITE' | 'WORKER' | 'ODOO'
}

export type WebServiceUpdatedDataV1 = {
  /** ID of the web service. */
  webServiceId: string
  /** ID of the project. */
  projectId: string
  /** ID of the environment. */
  environmentId: string
  /** Name of the web service. */
  name: string
  /** Slug of the web service, the first label of its host name. */
  slug: string
  /** Kind of the web service. */
  kind: 'WEB' | 'STATIC_SITE' | 'WORKER' | 'ODOO'
}

export type WebhookTestDataV1 = {
  /** A short text. */
  message: string
}

export type WebhookEndpointCreatedDataV1 = {
  /** ID of the webhook endpoint. */
  webhookEndpointId: string
  /** Description of the endpoint. */
  description: string | null
  /** Event types that the endpoint receives. Empty means all types. */
  eventTypes: Array<string>
  /** ID of the only project whose events the endpoint receives. Null means all projects. */
  projectId: string | null
  /** Whether the endpoint is disabled. */
  disabled: boolean
  /** Reason that the endpoint is disabled. Null if it is enabled. */
  disabledReason: string | null
}

export type WebhookEndpointDeletedDataV1 = {
  /** ID of the webhook endpoint. */
  webhookEndpointId: string
  /** Description of the endpoint. */
  description: string | null
  /** Event types that the endpoint receives. Empty means all types. */
  eventTypes: Array<string>
  /** ID of the only project whose events the endpoint receives. Null means all projects. */
  projectId: string | null
  /** Whether the endpoint is disabled. */
  disabled: boolean
  /** Reason that the endpoint is disabled. Null if it is enabled. */
  disabledReason: string | null
}

export type WebhookEndpointDisabledDataV1 = {
  /** ID of the webhook endpoint. */
  webhookEndpointId: string
  /** Description of the endpoint. */
  description: string | null
  /** Reason that the endpoint was disabled. */
  reason: string
}

export type WebhookEndpointExhaustedDataV1 = {
  /** ID of the webhook endpoint. */
  webhookEndpointId: string
  /** Description of the endpoint. */
  description: string | null
  /** ID of the message, which is the ID of its event. */
  messageId: string
  /** Type of the event. */
  eventType: string
  /** Number of attempts. */
  attemptCount: number
  /** Reason for the last failure. */
  reason: string | null
}

export type WebhookEndpointFailingDataV1 = {
  /** ID of the webhook endpoint. */
  webhookEndpointId: string
  /** Description of the endpoint. */
  description: string | null
  /** Time of the first failure since the endpoint last accepted a message. */
  failingSince: string
  /** Time from which another failure disables the endpoint. */
  disabledFrom: string
}

export type WebhookEndpointRecoveredDataV1 = {
  /** ID of the webhook endpoint. */
  webhookEndpointId: string
  /** Description of the endpoint. */
  description: string | null
  /** Time of the first failure of the period that has ended. */
  failingSince: string
}

export type WebhookEndpointUpdatedDataV1 = {
  /** ID of the webhook endpoint. */
  webhookEndpointId: string
  /** Description of the endpoint. */
  description: string | null
  /** Event types that the endpoint receives. Empty means all types. */
  eventTypes: Array<string>
  /** ID of the only project whose events the endpoint receives. Null means all projects. */
  projectId: string | null
  /** Whether the endpoint is disabled. */
  disabled: boolean
  /** Reason that the endpoint is disabled. Null if it is enabled. */
  disabledReason: string | null
}

/** An API key was created. */
export type ApiKeyCreated = Envelope<'api_key.created', 1, ApiKeyCreatedDataV1>

/** An API key was revoked and no longer works. */
export type ApiKeyRevoked = Envelope<'api_key.revoked', 1, ApiKeyRevokedDataV1>

/** A deployment was cancelled. */
export type DeploymentCancelled = Envelope<'deployment.cancelled', 1, DeploymentCancelledDataV1>

/** A deployment failed. The previous release, if any, keeps running. */
export type DeploymentFailed = Envelope<'deployment.failed', 1, DeploymentFailedDataV1>

/** A deployment was queued. */
export type DeploymentQueued = Envelope<'deployment.queued', 1, DeploymentQueuedDataV1>

/** A rollback went live. Sent in addition to `deployment.succeeded` for the same deployment. */
export type DeploymentRolledBack = Envelope<'deployment.rolled_back', 1, DeploymentRolledBackDataV1>

/** A queued deployment was skipped because a newer one replaced it. */
export type DeploymentSkipped = Envelope<'deployment.skipped', 1, DeploymentSkippedDataV1>

/** A deployment started. */
export type DeploymentStarted = Envelope<'deployment.started', 1, DeploymentStartedDataV1>

/** A deployment went live. Its release has answered through the router. */
export type DeploymentSucceeded = Envelope<'deployment.succeeded', 1, DeploymentSucceededDataV1>

/** A live deployment was replaced by a newer one. */
export type DeploymentSuperseded = Envelope<'deployment.superseded', 1, DeploymentSupersededDataV1>

/** Environment variables of a service were created, updated or deleted. A bulk write causes one event. Values are not included. */
export type EnvVarChanged = Envelope<'env_var.changed', 1, EnvVarChangedDataV1>

/** Secret values of a service were revealed. Values are not included. */
export type EnvVarRevealed = Envelope<'env_var.revealed', 1, EnvVarRevealedDataV1>

/** An environment was created. */
export type EnvironmentCreated = Envelope<'environment.created', 1, EnvironmentCreatedDataV1>

/** An environment was deleted. With `cascade`, its services are being deleted. */
export type EnvironmentDeleted = Envelope<'environment.deleted', 1, EnvironmentDeletedDataV1>

/** The status of an environment changed. */
export type EnvironmentStatusChanged = Envelope<'environment.status_changed', 1, EnvironmentStatusChangedDataV1>

/** An organization was created. */
export type OrganizationCreated = Envelope<'organization.created', 1, OrganizationCreatedDataV1>

/** A project was created, together with its production environment. */
export type ProjectCreated = Envelope<'project.created', 1, ProjectCreatedDataV1>

/** A project was deleted. With `cascade`, its environments and services are being deleted. */
export type ProjectDeleted = Envelope<'project.deleted', 1, ProjectDeletedDataV1>

/** The name, description or secret fallback of a project changed. */
export type ProjectUpdated = Envelope<'project.updated', 1, ProjectUpdatedDataV1>

/** A project secret was created. Values are not included. */
export type SecretCreated = Envelope<'secret.created', 1, SecretCreatedDataV1>

/** A secret was deleted with all its versions. */
export type SecretDeleted = Envelope<'secret.deleted', 1, SecretDeletedDataV1>

/** The value of a secret was revealed. The value is not included. */
export type SecretRevealed = Envelope<'secret.revealed', 1, SecretRevealedDataV1>

/** A secret received a new version, a version was revoked, or the secret was made plain or secret. Values are not included. */
export type SecretUpdated = Envelope<'secret.updated', 1, SecretUpdatedDataV1>

/** A secret was bound to a service, or an existing alias was bound to another secret. */
export type SecretBindingCreated = Envelope<'secret_binding.created', 1, SecretBindingCreatedDataV1>

/** A secret was unbound from a service. */
export type SecretBindingDeleted = Envelope<'secret_binding.deleted', 1, SecretBindingDeletedDataV1>

/** A running service crashed: none of its instances is healthy, and at least one exited unexpectedly. It is being restarted. */
export type WebServiceCrashed = Envelope<'web_service.crashed', 1, WebServiceCrashedDataV1>

/** A web service was created. Nothing has been deployed yet. */
export type WebServiceCreated = Envelope<'web_service.created', 1, WebServiceCreatedDataV1>

/** A web service was deleted. Its instances are being stopped. */
export type WebServiceDeleted = Envelope<'web_service.deleted', 1, WebServiceDeletedDataV1>

/** A crashed service is running again. */
export type WebServiceRecovered = Envelope<'web_service.recovered', 1, WebServiceRecoveredDataV1>

/** A restart of a web service was requested. */
export type WebServiceRestarted = Envelope<'web_service.restarted', 1, WebServiceRestartedDataV1>

/** A start of a stopped web service was requested. */
export type WebServiceStarted = Envelope<'web_service.started', 1, WebServiceStartedDataV1>

/** A stop of a web service was requested. */
export type WebServiceStopped = Envelope<'web_service.stopped', 1, WebServiceStoppedDataV1>

/** The settings of a web service changed. */
export type WebServiceUpdated = Envelope<'web_service.updated', 1, WebServiceUpdatedDataV1>

/** A test sent manually to check a webhook endpoint. Nothing has changed. */
export type WebhookTest = Envelope<'webhook.test', 1, WebhookTestDataV1>

/** A webhook endpoint was created. */
export type WebhookEndpointCreated = Envelope<'webhook_endpoint.created', 1, WebhookEndpointCreatedDataV1>

/** A webhook endpoint was deleted. Its pending deliveries are cancelled. */
export type WebhookEndpointDeleted = Envelope<'webhook_endpoint.deleted', 1, WebhookEndpointDeletedDataV1>

/** A webhook endpoint was disabled: manually, by its receiver, or because it accepted no message for too long. Messages that it misses are skipped and can be replayed. */
export type WebhookEndpointDisabled = Envelope<'webhook_endpoint.disabled', 1, WebhookEndpointDisabledDataV1>

/** All attempts to deliver a message to a webhook endpoint failed. */
export type WebhookEndpointExhausted = Envelope<'webhook_endpoint.exhausted', 1, WebhookEndpointExhaustedDataV1>

/** A webhook endpoint has accepted no message for a long time and will be disabled if this continues. Sent once for each such period. */
export type WebhookEndpointFailing = Envelope<'webhook_endpoint.failing', 1, WebhookEndpointFailingDataV1>

/** A webhook endpoint that was reported as failing has accepted a message again. */
export type WebhookEndpointRecovered = Envelope<'webhook_endpoint.recovered', 1, WebhookEndpointRecoveredDataV1>

/** A webhook endpoint was updated, enabled or disabled, or its signing key was rotated. */
export type WebhookEndpointUpdated = Envelope<'webhook_endpoint.updated', 1, WebhookEndpointUpdatedDataV1>

/** An event whose type is not known to this version of the module. */
export type UnknownEvent = Omit<Envelope<'unknown', number, unknown>, 'test'> & { originalType: string; test?: true }

/** An event returned by `verify`. */
export type WebhookEvent =
  | ApiKeyCreated
  | ApiKeyRevoked
  | DeploymentCancelled
  | DeploymentFailed
  | DeploymentQueued
  | DeploymentRolledBack
  | DeploymentSkipped
  | DeploymentStarted
  | DeploymentSucceeded
  | DeploymentSuperseded
  | EnvVarChanged
  | EnvVarRevealed
  | EnvironmentCreated
  | EnvironmentDeleted
  | EnvironmentStatusChanged
  | OrganizationCreated
  | ProjectCreated
  | ProjectDeleted
  | ProjectUpdated
  | SecretCreated
  | SecretDeleted
  | SecretRevealed
  | SecretUpdated
  | SecretBindingCreated
  | SecretBindingDeleted
  | WebServiceCrashed
  | WebServiceCreated
  | WebServiceDeleted
  | WebServiceRecovered
  | WebServiceRestarted
  | WebServiceStarted
  | WebServiceStopped
  | WebServiceUpdated
  | WebhookTest
  | WebhookEndpointCreated
  | WebhookEndpointDeleted
  | WebhookEndpointDisabled
  | WebhookEndpointExhausted
  | WebhookEndpointFailing
  | WebhookEndpointRecovered
  | WebhookEndpointUpdated
  | UnknownEvent

export type WebhookEventType = Exclude<WebhookEvent['type'], 'unknown'>

/** Names of all event types known to this version of the module. */
export declare const eventTypes: readonly WebhookEventType[]

/** The signature or timestamp of a request is not valid, or the body is not an event. */
export declare class WebhookVerificationError extends Error {}

/** Those of a request, as `Headers` of fetch or as a plain object in the way of node:http. */
export type RequestHeaders = { get(name: string): string | null } | Record<string, string | string[] | undefined>

/**
 * Verifies a request according to Standard Webhooks 1.0 and returns its event. `rawBody` is the body as received, not parsed JSON.
 * `secret` is the signing secret `whsec_…`, or the public key `whpk_…` with Ed25519. During a rotation, pass several.
 * Throws a WebhookVerificationError if the request is not valid or its body is not an event, and a TypeError if the body is parsed
 * or the secret is missing or malformed.
 */
export declare function verify(
  rawBody: Uint8Array | ArrayBuffer | string,
  headers: RequestHeaders,
  secret: string | readonly string[],
): WebhookEvent
