# How people log in: password and a one-time code, always. A required execution that somebody has not set up yet makes
# Keycloak ask for the set-up at login, so there is no account without a second factor.
let
  execution = priority: requirement: authenticator: {
    inherit priority requirement authenticator;
    authenticatorFlow = false;
    userSetupAllowed = false;
  };
in
{
  browserFlow = "browser with second factor";
  authenticationFlows = [
    {
      alias = "browser with second factor";
      description = "Cookie, or password and one-time code";
      providerId = "basic-flow";
      topLevel = true;
      builtIn = false;
      authenticationExecutions = [
        (execution 10 "ALTERNATIVE" "auth-cookie")
        {
          priority = 20;
          requirement = "ALTERNATIVE";
          flowAlias = "password and one-time code";
          authenticatorFlow = true;
          userSetupAllowed = false;
        }
      ];
    }
    {
      alias = "password and one-time code";
      description = "Both are required";
      providerId = "basic-flow";
      topLevel = false;
      builtIn = false;
      authenticationExecutions = [
        (execution 10 "REQUIRED" "auth-username-password-form")
        (execution 20 "REQUIRED" "auth-otp-form")
      ];
    }
  ];

  requiredActions = [
    {
      alias = "CONFIGURE_TOTP";
      name = "Configure OTP";
      providerId = "CONFIGURE_TOTP";
      enabled = true;
      defaultAction = true;
      priority = 10;
    }
    {
      alias = "UPDATE_PASSWORD";
      name = "Update Password";
      providerId = "UPDATE_PASSWORD";
      enabled = true;
      defaultAction = false;
      priority = 30;
    }
  ];

  otpPolicyType = "totp";
  # What every authenticator application understands.
  otpPolicyAlgorithm = "HmacSHA1";
  otpPolicyDigits = 6;
  otpPolicyPeriod = 30;
  otpPolicyInitialCounter = 0;
  otpPolicyLookAheadWindow = 1;
  otpPolicyCodeReusable = false;
}
