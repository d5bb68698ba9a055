-- app_now
CREATE OR REPLACE FUNCTION app_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT now()';

-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "public";

-- CreateEnum
CREATE TYPE "api_key_kind" AS ENUM ('PLATFORM', 'OEC', 'OCORE', 'BRIDGE');

-- CreateEnum
CREATE TYPE "api_key_scope" AS ENUM ('READ', 'WRITE', 'ADMIN');

-- CreateEnum
CREATE TYPE "webhook_error_class" AS ENUM ('DNS', 'REFUSED', 'TIMEOUT', 'TLS', 'RESET', 'HTTP', 'BLOCKED');

-- CreateEnum
CREATE TYPE "webhook_attempt_trigger" AS ENUM ('AUTOMATIC', 'MANUAL', 'RECOVERY', 'TEST');

-- CreateEnum
CREATE TYPE "deployment_kind" AS ENUM ('DEPLOY', 'REDEPLOY', 'ROLLBACK');

-- CreateEnum
CREATE TYPE "deployment_trigger" AS ENUM ('API', 'GIT_PUSH', 'CONFIG_CHANGE');

-- CreateEnum
CREATE TYPE "deployment_status" AS ENUM ('QUEUED', 'RUNNING', 'CANCELLING', 'LIVE', 'SUPERSEDED', 'FAILED', 'CANCELLED', 'SKIPPED');

-- CreateEnum
CREATE TYPE "deployment_phase" AS ENUM ('PREPARE', 'BUILD', 'RELEASE', 'START', 'VERIFY', 'SWITCH');

-- CreateEnum
CREATE TYPE "step_status" AS ENUM ('PENDING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED', 'SKIPPED');

-- CreateEnum
CREATE TYPE "deployment_failure_code" AS ENUM ('REPOSITORY_MISSING', 'SOURCE_UNREACHABLE', 'SOURCE_REJECTED', 'COMMIT_NOT_FOUND', 'CONFIG_UNRESOLVED', 'BUILD_NOT_DETECTED', 'BUILD_FAILED', 'BUILD_TIMEOUT', 'RELEASE_COMMAND_FAILED', 'START_FAILED', 'HEALTH_TIMEOUT', 'SWITCH_FAILED', 'PHASE_TIMEOUT', 'ARTIFACT_MISSING', 'SERVICE_DELETED', 'NO_CAPACITY', 'WORKER_LOST', 'INTERNAL');

-- CreateEnum
CREATE TYPE "environment_type" AS ENUM ('PRODUCTION', 'STAGING', 'DEVELOPMENT');

-- CreateEnum
CREATE TYPE "runtime_status" AS ENUM ('STARTING', 'RUNNING', 'DEGRADED', 'CRASHED', 'STOPPING', 'STOPPED');

-- CreateEnum
CREATE TYPE "system_role" AS ENUM ('OWNER', 'ADMIN', 'DEVELOPER', 'VIEWER');

-- CreateEnum
CREATE TYPE "webhook_delivery_status" AS ENUM ('PENDING', 'DELIVERED', 'EXHAUSTED', 'ABORTED', 'SKIPPED', 'CANCELLED', 'UNKNOWN');

-- CreateEnum
CREATE TYPE "web_service_kind" AS ENUM ('WEB', 'STATIC_SITE', 'WORKER', 'ODOO');

-- CreateEnum
CREATE TYPE "desired_state" AS ENUM ('RUNNING', 'STOPPED', 'DELETED');

-- CreateEnum
CREATE TYPE "queue_policy" AS ENUM ('QUEUE_LATEST', 'QUEUE_ALL', 'REJECT');

-- CreateTable
CREATE TABLE "api_key" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "created_by_id" UUID NOT NULL,
    "project_id" UUID,
    "kind" "api_key_kind" NOT NULL,
    "name" TEXT NOT NULL,
    "prefix" TEXT NOT NULL,
    "hash" BYTEA NOT NULL,
    "scope" "api_key_scope" NOT NULL,
    "expires_at" TIMESTAMPTZ(3),
    "last_used_at" TIMESTAMPTZ(3),
    "revoked_at" TIMESTAMPTZ(3),
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "api_key_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "webhook_attempt" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "message_id" UUID NOT NULL,
    "endpoint_id" UUID NOT NULL,
    "number" INTEGER NOT NULL,
    "trigger" "webhook_attempt_trigger" NOT NULL,
    "url" TEXT NOT NULL,
    "started_at" TIMESTAMPTZ(3) NOT NULL,
    "duration_ms" INTEGER NOT NULL,
    "request_headers" JSON,
    "response_status" INTEGER,
    "error_class" "webhook_error_class",
    "response_headers" JSON,
    "response_body" TEXT,
    "worker" TEXT,
    "next_attempt_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "webhook_attempt_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "audit_entry" (
    "id" UUID NOT NULL,
    "ordinal" BIGSERIAL NOT NULL,
    "position" BIGINT,
    "organization_id" UUID NOT NULL,
    "actor_type" TEXT NOT NULL,
    "actor_id" UUID,
    "actor_name" TEXT NOT NULL,
    "action" TEXT NOT NULL,
    "target_type" TEXT,
    "target_id" UUID,
    "details" JSON NOT NULL,
    "request_id" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "hash" BYTEA,

    CONSTRAINT "audit_entry_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "audit_chain" (
    "organization_id" UUID NOT NULL,
    "position" BIGINT NOT NULL,
    "hash" BYTEA NOT NULL,

    CONSTRAINT "audit_chain_pkey" PRIMARY KEY ("organization_id")
);

-- CreateTable
CREATE TABLE "deployment" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "web_service_id" UUID NOT NULL,
    "number" INTEGER NOT NULL,
    "kind" "deployment_kind" NOT NULL,
    "trigger" "deployment_trigger" NOT NULL,
    "status" "deployment_status" NOT NULL,
    "phase" "deployment_phase",
    "branch" TEXT,
    "requested_commit" TEXT,
    "commit_hash" TEXT,
    "commit_message" TEXT,
    "clear_cache" BOOLEAN NOT NULL DEFAULT false,
    "restores_id" UUID,
    "rollback_config" TEXT,
    "settings" JSON,
    "release_digest" TEXT,
    "failure_phase" "deployment_phase",
    "failure_code" "deployment_failure_code",
    "failure_message" TEXT,
    "failure_hint" TEXT,
    "created_by_type" TEXT NOT NULL,
    "created_by_id" UUID,
    "lease_owner" TEXT,
    "lease_epoch" INTEGER NOT NULL DEFAULT 0,
    "lease_expires_at" TIMESTAMPTZ(3),
    "started_at" TIMESTAMPTZ(3),
    "finished_at" TIMESTAMPTZ(3),
    "live_at" TIMESTAMPTZ(3),
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "deployment_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "deployment_step" (
    "deployment_id" UUID NOT NULL,
    "phase" "deployment_phase" NOT NULL,
    "status" "step_status" NOT NULL,
    "started_at" TIMESTAMPTZ(3),
    "finished_at" TIMESTAMPTZ(3),
    "exit_code" INTEGER,
    "reason_code" "deployment_failure_code",

    CONSTRAINT "deployment_step_pkey" PRIMARY KEY ("deployment_id","phase")
);

-- CreateTable
CREATE TABLE "master_key_check" (
    "version" INTEGER NOT NULL,
    "check_value" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "master_key_check_pkey" PRIMARY KEY ("version")
);

-- CreateTable
CREATE TABLE "organization_key" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "version" INTEGER NOT NULL,
    "master_version" INTEGER NOT NULL,
    "wrapped" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "organization_key_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "webhook_endpoint" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "project_id" UUID,
    "url" TEXT NOT NULL,
    "description" TEXT,
    "event_types" TEXT[],
    "retry_schedule_ms" INTEGER[],
    "has_own_schedule" BOOLEAN NOT NULL DEFAULT false,
    "since_position" BIGINT,
    "disabled_at" TIMESTAMPTZ(3),
    "disabled_reason" TEXT,
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "webhook_endpoint_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "webhook_key" (
    "id" UUID NOT NULL,
    "endpoint_id" UUID NOT NULL,
    "sealed" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "expires_at" TIMESTAMPTZ(3),

    CONSTRAINT "webhook_key_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "environment" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "slug" TEXT NOT NULL,
    "type" "environment_type" NOT NULL,
    "deleting_at" TIMESTAMPTZ(3),
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "environment_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "event" (
    "id" UUID NOT NULL,
    "ordinal" BIGSERIAL NOT NULL,
    "position" BIGINT,
    "organization_id" UUID NOT NULL,
    "project_id" UUID,
    "type" TEXT NOT NULL,
    "schema_version" INTEGER NOT NULL,
    "subject_type" TEXT NOT NULL,
    "subject_id" UUID NOT NULL,
    "sequence" INTEGER NOT NULL,
    "data" JSON NOT NULL,
    "channels" TEXT[],
    "request_id" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "event_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "event_subject" (
    "subject_id" UUID NOT NULL,
    "sequence" INTEGER NOT NULL,

    CONSTRAINT "event_subject_pkey" PRIMARY KEY ("subject_id")
);

-- CreateTable
CREATE TABLE "sequencer" (
    "id" INTEGER NOT NULL,
    "event_position" BIGINT NOT NULL,

    CONSTRAINT "sequencer_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "idempotency" (
    "principal" TEXT NOT NULL,
    "operation" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "input_hash" BYTEA NOT NULL,
    "answer" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "idempotency_pkey" PRIMARY KEY ("principal","operation","key")
);

-- CreateTable
CREATE TABLE "release" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "web_service_id" UUID NOT NULL,
    "deployment_id" UUID NOT NULL,
    "digest" TEXT NOT NULL,
    "start_command" TEXT,
    "size_bytes" BIGINT NOT NULL,
    "expired_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "release_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "instance" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "web_service_id" UUID NOT NULL,
    "deployment_id" UUID NOT NULL,
    "generation" INTEGER NOT NULL,
    "status" "runtime_status" NOT NULL,
    "routed" BOOLEAN NOT NULL DEFAULT false,
    "draining_since" TIMESTAMPTZ(3),
    "drained_at" TIMESTAMPTZ(3),
    "in_flight" INTEGER NOT NULL DEFAULT 0,
    "restarts" INTEGER NOT NULL DEFAULT 0,
    "last_exit_code" INTEGER,
    "crashes" INTEGER NOT NULL DEFAULT 0,
    "next_start_at" TIMESTAMPTZ(3),
    "failed_probes" INTEGER NOT NULL DEFAULT 0,
    "stdout_offset" BIGINT NOT NULL DEFAULT 0,
    "stderr_offset" BIGINT NOT NULL DEFAULT 0,
    "started_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "instance_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "service_runtime" (
    "web_service_id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "status" "runtime_status" NOT NULL,
    "routed_deployment_id" UUID,
    "wanted" INTEGER NOT NULL DEFAULT 1,
    "quiet_since" TIMESTAMPTZ(3),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "service_runtime_pkey" PRIMARY KEY ("web_service_id")
);

-- CreateTable
CREATE TABLE "lease" (
    "name" TEXT NOT NULL,
    "owner" TEXT NOT NULL,
    "epoch" INTEGER NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "lease_pkey" PRIMARY KEY ("name")
);

-- CreateTable
CREATE TABLE "log" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "web_service_id" UUID NOT NULL,
    "deployment_id" UUID,
    "next_seq" BIGINT NOT NULL DEFAULT 1,
    "total_bytes" BIGINT NOT NULL DEFAULT 0,
    "head_seq" BIGINT,
    "expired_seq" BIGINT NOT NULL DEFAULT 0,
    "completed_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "log_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "log_chunk" (
    "log_id" UUID NOT NULL,
    "first_seq" BIGINT NOT NULL,
    "last_seq" BIGINT NOT NULL,
    "bytes_before" BIGINT NOT NULL,
    "bytes" INTEGER NOT NULL,
    "first_at" TIMESTAMPTZ(3) NOT NULL,
    "last_at" TIMESTAMPTZ(3) NOT NULL,
    "lines" TEXT NOT NULL,

    CONSTRAINT "log_chunk_pkey" PRIMARY KEY ("log_id","first_seq")
);

-- CreateTable
CREATE TABLE "member" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "role" "system_role" NOT NULL,
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "member_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "webhook_message" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "project_id" UUID,
    "position" BIGINT NOT NULL,
    "event_type" TEXT NOT NULL,
    "timestamp" TIMESTAMPTZ(3) NOT NULL,
    "body" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "webhook_message_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "webhook_delivery" (
    "message_id" UUID NOT NULL,
    "endpoint_id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "status" "webhook_delivery_status" NOT NULL,
    "reason" TEXT,
    "attempt_count" INTEGER NOT NULL DEFAULT 0,
    "next_attempt_at" TIMESTAMPTZ(3),
    "lease_owner" TEXT,
    "lease_epoch" INTEGER NOT NULL DEFAULT 0,
    "lease_expires_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "webhook_delivery_pkey" PRIMARY KEY ("message_id","endpoint_id")
);

-- CreateTable
CREATE TABLE "webhook_fan_out" (
    "id" INTEGER NOT NULL,
    "position" BIGINT NOT NULL,

    CONSTRAINT "webhook_fan_out_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "organization" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "slug" TEXT NOT NULL,
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "organization_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "project" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "slug" TEXT NOT NULL,
    "description" TEXT,
    "deleting_at" TIMESTAMPTZ(3),
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "project_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "server" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "server_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "user_account" (
    "id" UUID NOT NULL,
    "email" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "user_account_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "web_service" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "environment_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "slug" TEXT NOT NULL,
    "kind" "web_service_kind" NOT NULL,
    "repository_url" TEXT,
    "repository_credential" BYTEA,
    "branch" TEXT NOT NULL,
    "root_directory" TEXT,
    "build_command" TEXT,
    "release_command" TEXT,
    "start_command" TEXT,
    "publish_directory" TEXT,
    "port" INTEGER,
    "health_check_path" TEXT,
    "min_instances" INTEGER NOT NULL,
    "max_instances" INTEGER NOT NULL,
    "queue_policy" "queue_policy" NOT NULL,
    "build_timeout_ms" INTEGER NOT NULL,
    "health_timeout_ms" INTEGER NOT NULL,
    "shutdown_grace_ms" INTEGER NOT NULL,
    "desired_state" "desired_state" NOT NULL,
    "generation" INTEGER NOT NULL DEFAULT 0,
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "web_service_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "api_key_hash_key" ON "api_key"("hash");

-- CreateIndex
CREATE INDEX "api_key_organization_id_id_idx" ON "api_key"("organization_id", "id");

-- CreateIndex
CREATE INDEX "api_key_project_id_idx" ON "api_key"("project_id");

-- CreateIndex
CREATE INDEX "webhook_attempt_organization_id_id_idx" ON "webhook_attempt"("organization_id", "id");

-- CreateIndex
CREATE INDEX "webhook_attempt_message_id_endpoint_id_number_idx" ON "webhook_attempt"("message_id", "endpoint_id", "number");

-- CreateIndex
CREATE INDEX "webhook_attempt_endpoint_id_id_idx" ON "webhook_attempt"("endpoint_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "audit_entry_ordinal_key" ON "audit_entry"("ordinal");

-- CreateIndex
CREATE INDEX "audit_entry_unpositioned_idx" ON "audit_entry"("ordinal") WHERE (position is null);

-- CreateIndex
CREATE UNIQUE INDEX "audit_entry_organization_id_position_key" ON "audit_entry"("organization_id", "position");

-- CreateIndex
CREATE INDEX "deployment_web_service_id_id_idx" ON "deployment"("web_service_id", "id");

-- CreateIndex
CREATE INDEX "deployment_organization_id_id_idx" ON "deployment"("organization_id", "id");

-- CreateIndex
CREATE INDEX "deployment_restores_id_idx" ON "deployment"("restores_id");

-- CreateIndex
CREATE INDEX "deployment_work_idx" ON "deployment"("lease_expires_at") WHERE (status in ('QUEUED', 'RUNNING', 'CANCELLING'));

-- CreateIndex
CREATE UNIQUE INDEX "deployment_organization_id_id_key" ON "deployment"("organization_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "deployment_web_service_id_number_key" ON "deployment"("web_service_id", "number");

-- CreateIndex
CREATE UNIQUE INDEX "deployment_one_live_key" ON "deployment"("web_service_id") WHERE (status = 'LIVE');

-- CreateIndex
CREATE UNIQUE INDEX "deployment_one_active_key" ON "deployment"("web_service_id") WHERE (status in ('RUNNING', 'CANCELLING'));

-- CreateIndex
CREATE UNIQUE INDEX "organization_key_organization_id_version_key" ON "organization_key"("organization_id", "version");

-- CreateIndex
CREATE INDEX "webhook_endpoint_project_id_idx" ON "webhook_endpoint"("project_id");

-- CreateIndex
CREATE UNIQUE INDEX "webhook_endpoint_organization_id_id_key" ON "webhook_endpoint"("organization_id", "id");

-- CreateIndex
CREATE INDEX "webhook_key_endpoint_id_idx" ON "webhook_key"("endpoint_id");

-- CreateIndex
CREATE INDEX "environment_organization_id_id_idx" ON "environment"("organization_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "environment_organization_id_project_id_id_key" ON "environment"("organization_id", "project_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "environment_project_id_slug_key" ON "environment"("project_id", "slug");

-- CreateIndex
CREATE UNIQUE INDEX "event_ordinal_key" ON "event"("ordinal");

-- CreateIndex
CREATE UNIQUE INDEX "event_position_key" ON "event"("position");

-- CreateIndex
CREATE INDEX "event_organization_id_position_idx" ON "event"("organization_id", "position");

-- CreateIndex
CREATE INDEX "event_unpositioned_idx" ON "event"("ordinal") WHERE (position is null);

-- CreateIndex
CREATE UNIQUE INDEX "event_subject_id_sequence_key" ON "event"("subject_id", "sequence");

-- CreateIndex
CREATE INDEX "idempotency_expires_at_idx" ON "idempotency"("expires_at");

-- CreateIndex
CREATE UNIQUE INDEX "release_digest_key" ON "release"("digest");

-- CreateIndex
CREATE INDEX "release_web_service_id_idx" ON "release"("web_service_id");

-- CreateIndex
CREATE INDEX "instance_web_service_id_idx" ON "instance"("web_service_id");

-- CreateIndex
CREATE INDEX "instance_deployment_id_idx" ON "instance"("deployment_id");

-- CreateIndex
CREATE UNIQUE INDEX "service_runtime_organization_id_web_service_id_key" ON "service_runtime"("organization_id", "web_service_id");

-- CreateIndex
CREATE INDEX "log_web_service_id_idx" ON "log"("web_service_id");

-- CreateIndex
CREATE UNIQUE INDEX "log_organization_id_deployment_id_key" ON "log"("organization_id", "deployment_id");

-- CreateIndex
CREATE UNIQUE INDEX "log_one_runtime_key" ON "log"("web_service_id") WHERE (deployment_id is null);

-- CreateIndex
CREATE INDEX "log_chunk_last_at_idx" ON "log_chunk"("last_at");

-- CreateIndex
CREATE UNIQUE INDEX "member_organization_id_user_id_key" ON "member"("organization_id", "user_id");

-- CreateIndex
CREATE UNIQUE INDEX "webhook_message_position_key" ON "webhook_message"("position");

-- CreateIndex
CREATE INDEX "webhook_message_organization_id_id_idx" ON "webhook_message"("organization_id", "id");

-- CreateIndex
CREATE INDEX "webhook_delivery_endpoint_id_message_id_idx" ON "webhook_delivery"("endpoint_id", "message_id");

-- CreateIndex
CREATE INDEX "webhook_delivery_due_idx" ON "webhook_delivery"("next_attempt_at") WHERE (status = 'PENDING');

-- CreateIndex
CREATE INDEX "webhook_delivery_pending_idx" ON "webhook_delivery"("endpoint_id") WHERE (status = 'PENDING');

-- CreateIndex
CREATE UNIQUE INDEX "organization_slug_key" ON "organization"("slug");

-- CreateIndex
CREATE UNIQUE INDEX "project_organization_id_id_key" ON "project"("organization_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "project_organization_id_slug_key" ON "project"("organization_id", "slug");

-- CreateIndex
CREATE UNIQUE INDEX "server_organization_id_name_key" ON "server"("organization_id", "name");

-- CreateIndex
CREATE UNIQUE INDEX "user_account_email_key" ON "user_account"("email");

-- CreateIndex
CREATE UNIQUE INDEX "web_service_slug_key" ON "web_service"("slug");

-- CreateIndex
CREATE INDEX "web_service_project_id_id_idx" ON "web_service"("project_id", "id");

-- CreateIndex
CREATE INDEX "web_service_environment_id_id_idx" ON "web_service"("environment_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "web_service_organization_id_id_key" ON "web_service"("organization_id", "id");

-- AddForeignKey
ALTER TABLE "api_key" ADD CONSTRAINT "api_key_organization_id_fkey" FOREIGN KEY ("organization_id") REFERENCES "organization"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "api_key" ADD CONSTRAINT "api_key_created_by_id_fkey" FOREIGN KEY ("created_by_id") REFERENCES "user_account"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "api_key" ADD CONSTRAINT "api_key_organization_id_project_id_fkey" FOREIGN KEY ("organization_id", "project_id") REFERENCES "project"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "webhook_attempt" ADD CONSTRAINT "webhook_attempt_message_id_fkey" FOREIGN KEY ("message_id") REFERENCES "webhook_message"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "deployment" ADD CONSTRAINT "deployment_organization_id_web_service_id_fkey" FOREIGN KEY ("organization_id", "web_service_id") REFERENCES "web_service"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "deployment" ADD CONSTRAINT "deployment_restores_id_fkey" FOREIGN KEY ("restores_id") REFERENCES "deployment"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "deployment_step" ADD CONSTRAINT "deployment_step_deployment_id_fkey" FOREIGN KEY ("deployment_id") REFERENCES "deployment"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "webhook_endpoint" ADD CONSTRAINT "webhook_endpoint_organization_id_project_id_fkey" FOREIGN KEY ("organization_id", "project_id") REFERENCES "project"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "webhook_key" ADD CONSTRAINT "webhook_key_endpoint_id_fkey" FOREIGN KEY ("endpoint_id") REFERENCES "webhook_endpoint"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "environment" ADD CONSTRAINT "environment_organization_id_project_id_fkey" FOREIGN KEY ("organization_id", "project_id") REFERENCES "project"("organization_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "release" ADD CONSTRAINT "release_organization_id_web_service_id_fkey" FOREIGN KEY ("organization_id", "web_service_id") REFERENCES "web_service"("organization_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "instance" ADD CONSTRAINT "instance_organization_id_web_service_id_fkey" FOREIGN KEY ("organization_id", "web_service_id") REFERENCES "web_service"("organization_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "instance" ADD CONSTRAINT "instance_organization_id_deployment_id_fkey" FOREIGN KEY ("organization_id", "deployment_id") REFERENCES "deployment"("organization_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "service_runtime" ADD CONSTRAINT "service_runtime_organization_id_web_service_id_fkey" FOREIGN KEY ("organization_id", "web_service_id") REFERENCES "web_service"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "log" ADD CONSTRAINT "log_organization_id_web_service_id_fkey" FOREIGN KEY ("organization_id", "web_service_id") REFERENCES "web_service"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "log" ADD CONSTRAINT "log_organization_id_deployment_id_fkey" FOREIGN KEY ("organization_id", "deployment_id") REFERENCES "deployment"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "log_chunk" ADD CONSTRAINT "log_chunk_log_id_fkey" FOREIGN KEY ("log_id") REFERENCES "log"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "member" ADD CONSTRAINT "member_organization_id_fkey" FOREIGN KEY ("organization_id") REFERENCES "organization"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "member" ADD CONSTRAINT "member_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "user_account"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "webhook_delivery" ADD CONSTRAINT "webhook_delivery_message_id_fkey" FOREIGN KEY ("message_id") REFERENCES "webhook_message"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "project" ADD CONSTRAINT "project_organization_id_fkey" FOREIGN KEY ("organization_id") REFERENCES "organization"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "server" ADD CONSTRAINT "server_organization_id_fkey" FOREIGN KEY ("organization_id") REFERENCES "organization"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "web_service" ADD CONSTRAINT "web_service_organization_id_project_id_fkey" FOREIGN KEY ("organization_id", "project_id") REFERENCES "project"("organization_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "web_service" ADD CONSTRAINT "web_service_organization_id_project_id_environment_id_fkey" FOREIGN KEY ("organization_id", "project_id", "environment_id") REFERENCES "environment"("organization_id", "project_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- stamp_updated_at
CREATE OR REPLACE FUNCTION stamp_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := app_now(); RETURN NEW; END $$;

-- organization_stamp
CREATE TRIGGER organization_stamp BEFORE UPDATE ON organization FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- user_account_stamp
CREATE TRIGGER user_account_stamp BEFORE UPDATE ON user_account FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- member_stamp
CREATE TRIGGER member_stamp BEFORE UPDATE ON member FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- api_key_stamp
CREATE TRIGGER api_key_stamp BEFORE UPDATE ON api_key FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- server_stamp
CREATE TRIGGER server_stamp BEFORE UPDATE ON server FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- project_stamp
CREATE TRIGGER project_stamp BEFORE UPDATE ON project FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- environment_stamp
CREATE TRIGGER environment_stamp BEFORE UPDATE ON environment FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- web_service_stamp
CREATE TRIGGER web_service_stamp BEFORE UPDATE ON web_service FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- deployment_stamp
CREATE TRIGGER deployment_stamp BEFORE UPDATE ON deployment FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- instance_stamp
CREATE TRIGGER instance_stamp BEFORE UPDATE ON instance FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- service_runtime_stamp
CREATE TRIGGER service_runtime_stamp BEFORE UPDATE ON service_runtime FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- webhook_endpoint_stamp
CREATE TRIGGER webhook_endpoint_stamp BEFORE UPDATE ON webhook_endpoint FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- webhook_delivery_stamp
CREATE TRIGGER webhook_delivery_stamp BEFORE UPDATE ON webhook_delivery FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- audit_entry_append_only
CREATE OR REPLACE FUNCTION audit_entry_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.position IS NULL AND NEW.position IS NOT NULL
     AND to_jsonb(NEW) - 'position' - 'hash' = to_jsonb(OLD) - 'position' - 'hash' THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'audit entries are append-only';
END $$;

-- audit_entry_guard
CREATE TRIGGER audit_entry_guard BEFORE UPDATE OR DELETE ON audit_entry FOR EACH ROW EXECUTE FUNCTION audit_entry_append_only();

-- sequencer_row
INSERT INTO sequencer (id, event_position) VALUES (1, 0) ON CONFLICT DO NOTHING;

-- sequencer_single_check
ALTER TABLE sequencer ADD CONSTRAINT sequencer_single_check CHECK (id = 1);

-- webhook_fan_out_row
INSERT INTO webhook_fan_out (id, position) VALUES (1, 0) ON CONFLICT DO NOTHING;

-- webhook_fan_out_single_check
ALTER TABLE webhook_fan_out ADD CONSTRAINT webhook_fan_out_single_check CHECK (id = 1);

-- webhook_delivery_due_check
ALTER TABLE webhook_delivery ADD CONSTRAINT webhook_delivery_due_check CHECK ((status = 'PENDING') = (next_attempt_at IS NOT NULL));

-- web_service_instances_check
ALTER TABLE web_service ADD CONSTRAINT web_service_instances_check CHECK (min_instances >= 1 AND min_instances <= max_instances AND max_instances <= 20);

-- web_service_slug_check
ALTER TABLE web_service ADD CONSTRAINT web_service_slug_check CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$');

-- deployment_live_release_check
ALTER TABLE deployment ADD CONSTRAINT deployment_live_release_check CHECK (status <> 'LIVE' OR (release_digest IS NOT NULL AND live_at IS NOT NULL));

-- deployment_failure_check
ALTER TABLE deployment ADD CONSTRAINT deployment_failure_check CHECK (status <> 'FAILED' OR (failure_phase IS NOT NULL AND failure_code IS NOT NULL AND failure_message IS NOT NULL));

-- deployment_finished_check
ALTER TABLE deployment ADD CONSTRAINT deployment_finished_check CHECK (status NOT IN ('FAILED', 'CANCELLED', 'SKIPPED', 'SUPERSEDED') OR finished_at IS NOT NULL);
