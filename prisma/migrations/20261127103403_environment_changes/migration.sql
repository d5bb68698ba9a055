-- CreateTable
CREATE TABLE "environment_change" (
    "id" BIGSERIAL NOT NULL,
    "environment_id" UUID NOT NULL,

    CONSTRAINT "environment_change_pkey" PRIMARY KEY ("id")
);
