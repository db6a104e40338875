# Writes tally(1): cmake -D TALLY=<program> -D TEMPLATE=<tally.1.in> -D MANUAL=<tally.1> -P manual.cmake
execute_process(COMMAND ${TALLY} help --mdoc OUTPUT_VARIABLE COMMANDS COMMAND_ERROR_IS_FATAL ANY)
configure_file(${TEMPLATE} ${MANUAL} @ONLY)
